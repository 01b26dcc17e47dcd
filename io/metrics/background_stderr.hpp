// Replaces stderr with a queue that a background thread writes out, so that printing never blocks or ends the program.
// If a pipe is not read, a terminal is stopped, a disk is full or a reader has exited, lines are lost, but training
// continues.
#pragma once

#include <cstdio>
#include <memory>

namespace gpas {

class BackgroundStderr {
public:
    // From here on the stream `stderr` writes to a queue of at most 1 MiB. Lines that do not fit are dropped and
    // counted; the count is written as soon as the output accepts lines again. SIGPIPE and SIGXFSZ are ignored from now
    // on, so that a failing write does not end the process. At most one object may exist at a time.
    BackgroundStderr();
    // Waits at most two seconds until the queue is written. Restores the previous `stderr`.
    ~BackgroundStderr();
    BackgroundStderr(const BackgroundStderr&) = delete;
    BackgroundStderr& operator=(const BackgroundStderr&) = delete;

    // Waits until everything printed so far is written, at most `seconds`. Returns whether it is written.
    bool drain(double seconds);

    struct State;

private:
    std::shared_ptr<State> state_;  // outlives this object if the thread is blocked in a write
    std::FILE* before_;
    std::FILE* stream_;
};

}  // namespace gpas
