// Runs another program to its end.
#pragma once

#include <string>
#include <vector>

namespace gpas {

struct ProgramResult {
    int exit_code = 0;           // 128 + number of the signal that ended the program
    std::string output, errors;  // what it wrote to its standard output and standard error
};

// Runs arguments[0], found as a shell finds it, with `input` as its standard input. Error(environment) if the program
// cannot be started. Waits without a time limit. Thread-safe.
ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& input);

}  // namespace gpas
