// A full-screen terminal display by ANSI escape sequences. The destructor restores the terminal's previous state.
#pragma once

#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <termios.h>

namespace gpas {

struct TerminalSize {
    std::size_t columns = 80;
    std::size_t rows = 24;
};

// The size of the terminal on stdout; if stdout is no terminal: $COLUMNS and $LINES, else 80 x 24.
TerminalSize terminal_size();

// Switches to the alternate screen without cursor. If stdin is a terminal, keys are read one by one without echo.
// SIGINT, SIGTERM and SIGHUP end wait(); SIGTSTP restores the terminal and stops the program until SIGCONT. Create at
// most one object at a time, on the main thread. Not thread-safe.
class Terminal {
public:
    Terminal();
    ~Terminal();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    // Replaces the screen's content, in one write. Error(environment) if stdout cannot be written.
    void draw(const std::vector<std::string>& lines);

    enum class Wake { time, key, resized, end };
    // Waits up to `seconds` seconds for a key, a change of the terminal's size or a signal. Returns the event.
    Wake wait(double seconds);
    char key() const { return key_; }  // the key, if wait() returned Wake::key

private:
    void enter();
    void leave() noexcept;
    void stop();

    bool keys_ = false;
    char key_ = 0;
    termios saved_ = {};
    sigset_t outside_ = {};  // signals that were blocked before the constructor; blocked during wait()
};

}  // namespace gpas
