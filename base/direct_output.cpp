#include "base/direct_output.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace gpas {

void write_stderr_now(std::string_view text) {
    constexpr std::size_t piece_bytes =
        4096;  // PIPE_BUF: a pipe that poll() finds writable accepts it without blocking
    while (!text.empty()) {
        pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        if (poll(&ready, 1, 500) <= 0) return;
        const ssize_t written = write(STDERR_FILENO, text.data(), std::min(piece_bytes, text.size()));
        if (written < 0 && errno != EINTR) return;
        if (written > 0) text.remove_prefix(std::size_t(written));
    }
}

}  // namespace gpas
