// A stderr that never blocks or ends the program: a thread writes what the program prints. If a pipe is not read, a
// terminal is stopped, a disk is full or a reader has exited, lines are lost, but training continues.
#pragma once

#include <cstdio>
#include <memory>

namespace gpas {

class BackgroundStderr {
public:
    // From here on the stream `stderr` only fills a queue of at most 1 MiB; lines beyond that are dropped and counted,
    // and the count is written as soon as the output takes lines again. SIGPIPE and SIGXFSZ are ignored from now on, so
    // that writing fails and does not end the process. One object at a time.
    BackgroundStderr();
    // Waits at most two seconds for what is queued. `stderr` is what it was before.
    ~BackgroundStderr();
    BackgroundStderr(const BackgroundStderr&) = delete;
    BackgroundStderr& operator=(const BackgroundStderr&) = delete;

    // Waits until all that was printed is written, at most so long. False: some of it is not.
    bool drain(double seconds);

    struct State;

private:
    std::shared_ptr<State> state_;  // outlives this object if the thread is blocked in a write
    std::FILE* before_;
    std::FILE* stream_;
};

}  // namespace gpas
