#include "io/metrics/background_stderr.hpp"

#include "base/masked_signals.hpp"

#include <fmt/format.h>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace gpas {

struct BackgroundStderr::State {
    std::mutex mutex;
    std::condition_variable changed;
    std::string queue;
    bool writing = false;  // the thread has taken text from the queue and has not written all of it
    bool over = false;
    std::int64_t dropped = 0;  // lines
    std::thread thread;
};

namespace {

using State = BackgroundStderr::State;

constexpr std::size_t most_queued_bytes = std::size_t(1) << 20;
constexpr std::size_t piece_bytes = 4096;  // a pipe that poll() reports as writable accepts this many without blocking
constexpr int poll_milliseconds = 100;

std::int64_t lines_in(std::string_view text) {
    return std::max<std::int64_t>(1, std::count(text.begin(), text.end(), '\n'));
}

ssize_t enqueue(void* cookie, const char* text, std::size_t bytes) {
    State& state = *static_cast<State*>(cookie);
    try {
        const std::lock_guard lock(state.mutex);
        if (state.queue.size() + bytes > most_queued_bytes)
            state.dropped += lines_in({text, bytes});
        else
            state.queue.append(text, bytes);
    } catch (const std::exception&) {  // out of memory: the line is lost
    }
    state.changed.notify_all();
    return ssize_t(bytes);
}

// Writes the text. Returns 0, or errno of the write that failed.
int write_all(std::string_view text, State& state) {
    while (!text.empty()) {
        pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        if (poll(&ready, 1, poll_milliseconds) == 0) {
            const std::lock_guard lock(state.mutex);
            if (state.over) return ETIMEDOUT;  // the program ends, and the output does not accept text
            continue;
        }
        const ssize_t written = write(STDERR_FILENO, text.data(), std::min(piece_bytes, text.size()));
        if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (written < 0) return errno;
        text.remove_prefix(std::size_t(written));
    }
    return 0;
}

void write_on(const std::shared_ptr<State>& state) {
    std::string why = "stderr does not accept more output";
    std::string pending;
    std::unique_lock lock(state->mutex);
    for (;;) {
        state->changed.wait(lock, [&] { return state->over || !state->queue.empty(); });
        if (state->queue.empty()) return;
        pending.clear();
        const std::int64_t dropped = std::exchange(state->dropped, 0);
        if (dropped > 0) pending = fmt::format("gpas: {} lines of output were dropped: {}\n", dropped, why);
        const std::size_t note_bytes = pending.size();
        pending += state->queue;
        state->queue.clear();
        state->writing = true;
        lock.unlock();
        const int error = write_all(pending, *state);
        lock.lock();
        if (error != 0) state->dropped += dropped + lines_in(std::string_view(pending).substr(note_bytes));
        why = error != 0 ? std::strerror(error) : "stderr does not accept more output";
        state->writing = false;
        state->changed.notify_all();
    }
}

}  // namespace

BackgroundStderr::BackgroundStderr() : state_(std::make_shared<State>()), before_(stderr), stream_(nullptr) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    const cookie_io_functions_t functions{.read = nullptr, .write = enqueue, .seek = nullptr, .close = nullptr};
    try {
        const MaskedSignals masked;
        state_->thread = std::thread([state = state_] { write_on(state); });
        stream_ = fopencookie(state_.get(), "w", functions);
    } catch (const std::system_error&) {  // lack of memory: stderr is not replaced, so that the error can be printed
    }
    if (stream_ == nullptr) return;
    setvbuf(stream_, nullptr, _IOLBF, BUFSIZ);
    stderr = stream_;
}

bool BackgroundStderr::drain(double seconds) {
    if (stream_ != nullptr) std::fflush(stream_);
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, std::chrono::duration<double>(seconds),
                                    [&] { return state_->queue.empty() && !state_->writing; });
}

BackgroundStderr::~BackgroundStderr() {
    if (stream_ != nullptr) stderr = before_;
    const bool drained = drain(2.0);
    {
        const std::lock_guard lock(state_->mutex);
        state_->over = true;
    }
    state_->changed.notify_all();
    if (state_->thread.joinable()) {
        if (drained)
            state_->thread.join();
        else
            state_->thread.detach();  // the thread may be blocked in a write indefinitely
    }
    // If the queue is not written, another thread may still print to the stream, so it is not closed.
    if (stream_ != nullptr && drained) std::fclose(stream_);
}

}  // namespace gpas
