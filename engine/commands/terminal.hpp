// A terminal that is drawn over and over, in plain ANSI escapes, and given back as it was.
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

// Of the terminal on stdout, else as $COLUMNS and $LINES say, else 80 x 24.
TerminalSize terminal_size();

// The alternate screen, without cursor; keys come one by one and unseen where stdin is a terminal. SIGINT, SIGTERM and
// SIGHUP end wait(), SIGTSTP stops the program with the terminal as it was. One at a time, on the main thread.
class Terminal {
public:
    Terminal();
    ~Terminal();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    // In place, in one write. Error(environment) where stdout can't be written.
    void draw(const std::vector<std::string>& lines);

    enum class Wake { time, key, resized, end };
    // For so many seconds, or until there is something to do.
    Wake wait(double seconds);
    char key() const { return key_; }  // after Wake::key

private:
    void enter();
    void leave() noexcept;
    void stop();

    bool keys_ = false;
    char key_ = 0;
    termios saved_ = {};
    sigset_t outside_ = {};  // the signals that were blocked before
};

}  // namespace gpas
