// The error type of gpas: a message for the user and the exit code of the process.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace gpas {

// Documented in README.md ("Exit codes"); scripts and schedulers act on them.
enum class ExitCode : int {
    ok = 0,
    internal = 1,       // a bug in gpas, or an unforeseen failure
    usage = 2,          // an error in the command line or configuration: correct it and start again
    bad_file = 3,       // a data file, tokenizer or checkpoint is missing, damaged or of another kind
    bad_numbers = 4,    // NaN or Inf in the loss or the gradients
    environment = 5,    // MPI, memory, disk space, permissions
    rank_lost = 6,      // a rank died, hung or could not be reached: start again to resume from the last checkpoint
    unfinished = 75,    // stopped with a checkpoint, on request: start again to resume (EX_TEMPFAIL)
    interrupted = 130,  // stopped at once by a second SIGINT
};

// The message is one line: place, found, expected, remedy.
class Error : public std::runtime_error {
public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

// An error that every rank throws (parallel/agree.hpp). No rank hangs, so each ends normally and only one prints it.
class AgreedError : public Error {
public:
    using Error::Error;
};

// Throws Error(code) with the formatted message.
template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
    throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Throws Error(internal) if the condition is false. For conditions that only a bug in gpas can violate, such as shapes
// that the caller has already checked.
template <class... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
    if (!condition) fail(ExitCode::internal, format, std::forward<Args>(args)...);
}

}  // namespace gpas
