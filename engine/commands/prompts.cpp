#include "engine/commands/prompts.hpp"

#include "base/error.hpp"
#include "io/data/json_line.hpp"

#include <cstring>
#include <fstream>
#include <iostream>

namespace gpas {

std::vector<std::string> read_prompts(const std::string& path) {
    const bool standard_input = path == "-";
    std::ifstream file;
    if (!standard_input) file.open(path, std::ios::binary);
    if (!standard_input && !file) fail(ExitCode::bad_file, "{}: cannot be opened: {}", path, std::strerror(errno));
    std::istream& in = standard_input ? std::cin : file;
    std::vector<std::string> prompts;
    std::string line;
    for (std::size_t number = 1; std::getline(in, line); ++number) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        BadLine bad;
        if (!json_line_text(line, "prompt", prompts.emplace_back(), bad))
            fail(ExitCode::bad_file, "{}:{}: {}; expected a line such as {{\"prompt\": \"It was\"}}", path, number,
                 bad.reason);
    }
    if (in.bad()) fail(ExitCode::bad_file, "{}: cannot be read: {}", path, std::strerror(errno));
    if (prompts.empty())
        fail(ExitCode::bad_file, "{}: found no prompt, expected lines such as {{\"prompt\": \"It was\"}}", path);
    return prompts;
}

}  // namespace gpas
