// The one error type of gpas: a message for a person and the exit code that the process ends with.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace gpas {

// Documented in README.md ("Exit codes"); scripts and schedulers act on them.
enum class ExitCode : int {
    ok = 0,
    internal = 1,       // a bug in gpas, or a failure nobody foresaw
    usage = 2,          // command line or configuration: fix it and start again
    bad_file = 3,       // a data file, tokenizer or checkpoint is missing, damaged or foreign
    bad_numbers = 4,    // NaN or Inf in the loss or the gradients
    environment = 5,    // MPI, memory, disk space, permissions
    rank_lost = 6,      // a rank died, stood still or could not be reached: start again, it goes on from its checkpoint
    unfinished = 75,    // stopped at a checkpoint because it was asked to: start again to go on (EX_TEMPFAIL)
    interrupted = 130,  // stopped at once by a second SIGINT
};

// One line: where, what was found, what was expected, what to do.
class Error : public std::runtime_error {
public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

// An error that every rank throws: each may end in order, and one of them tells.
class AgreedError : public Error {
public:
    using Error::Error;
};

template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
    throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// For conditions that only a bug in gpas can break (shapes that the caller already checked, say).
template <class... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
    if (!condition) fail(ExitCode::internal, format, std::forward<Args>(args)...);
}

}  // namespace gpas
