// The lines that a run writes to standard error for its user.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace gpas {

// Prints lines on rank 0 and nothing on other ranks, so that the job prints each line once. Any thread.
class RunLog {
public:
    explicit RunLog(int rank) : rank_(rank) {}

    template <class... Args>
    void say(fmt::format_string<Args...> format, Args&&... args) const {
        if (rank_ == 0) fmt::print(stderr, "gpas: {}\n", fmt::format(format, std::forward<Args>(args)...));
    }
    void say_all(const std::vector<std::string>& lines) const {
        for (const std::string& line : lines) say("{}", line);
    }

private:
    int rank_;
};

}  // namespace gpas
