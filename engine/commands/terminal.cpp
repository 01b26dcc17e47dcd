#include "engine/commands/terminal.hpp"

#include "base/error.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace gpas {
namespace {

constexpr int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};

// Signals that have arrived. They are blocked except during wait(), so that none is lost.
volatile std::sig_atomic_t ended = 0, stopped = 0, resized = 0;

void note(int signal) {
    if (signal == SIGTSTP)
        stopped = 1;
    else if (signal == SIGWINCH)
        resized = 1;
    else
        ended = 1;
}

// False if stdout cannot be written any more (the reader has closed it).
bool write_all(std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) return false;
        text.remove_prefix(std::size_t(n));
    }
    return true;
}

std::size_t from_environment(const char* name, std::size_t otherwise) {
    const char* text = std::getenv(name);
    const long value = text ? std::strtol(text, nullptr, 10) : 0;
    return value > 0 && value < 100000 ? std::size_t(value) : otherwise;
}

}  // namespace

TerminalSize terminal_size() {
    winsize size = {};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0)
        return {size.ws_col, size.ws_row};
    return {from_environment("COLUMNS", 80), from_environment("LINES", 24)};
}

Terminal::Terminal() {
    keys_ = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved_) == 0;
    sigset_t ours;
    sigemptyset(&ours);
    for (const int signal : watched) sigaddset(&ours, signal);
    sigprocmask(SIG_BLOCK, &ours, &outside_);
    struct sigaction action = {};
    action.sa_handler = note;
    for (const int signal : watched) sigaction(signal, &action, nullptr);
    enter();
}

Terminal::~Terminal() {
    leave();
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    for (const int signal : watched) sigaction(signal, &action, nullptr);
    sigprocmask(SIG_SETMASK, &outside_, nullptr);
}

void Terminal::enter() {
    if (keys_) {
        termios raw = saved_;
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    write_all("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J");  // alternate screen, no cursor, no wrapping, clear
}

void Terminal::leave() noexcept {
    write_all("\x1b[?7h\x1b[?25h\x1b[?1049l");
    if (keys_) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
}

void Terminal::stop() {
    leave();
    raise(SIGSTOP);  // returns after SIGCONT
    enter();
}

void Terminal::draw(const std::vector<std::string>& lines) {
    // With synchronised output (mode 2026) a terminal shows the frame at once; other terminals ignore the sequence.
    // Each line overwrites the old one and then erases the rest of the line, so that the screen does not flicker.
    std::string frame = "\x1b[?2026h\x1b[H";
    for (std::size_t i = 0; i < lines.size(); ++i) frame += (i > 0 ? "\r\n" : "") + lines[i] + "\x1b[K";
    frame += "\x1b[J\x1b[?2026l";
    if (!write_all(frame)) fail(ExitCode::environment, "writing to the terminal: {}", std::strerror(errno));
}

Terminal::Wake Terminal::wait(double seconds) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    timespec time{};
    time.tv_sec = time_t(seconds);
    time.tv_nsec = long(1e9 * (seconds - std::floor(seconds)));
    const int found = ppoll(&input, keys_ ? 1 : 0, &time, &outside_);
    if (ended) return Wake::end;
    if (stopped) {
        stopped = 0;
        stop();
        return Wake::resized;
    }
    if (resized) {
        resized = 0;
        return Wake::resized;
    }
    if (found <= 0) return Wake::time;
    if (read(STDIN_FILENO, &key_, 1) == 1) return Wake::key;
    keys_ = false;  // the terminal is gone
    return Wake::end;
}

}  // namespace gpas
