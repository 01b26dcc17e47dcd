#include "base/ranks_text.hpp"

#include <fmt/format.h>

#include <cstddef>

namespace gpas {

std::string ranks_text(const std::vector<int>& ranks) {
    constexpr int most_ranges = 8;
    std::string text = ranks.size() == 1 ? "rank " : "ranks ";
    int ranges = 0;
    for (std::size_t i = 0; i < ranks.size();) {
        if (ranges++ == most_ranges) return text + fmt::format(" and {} more", ranks.size() - i);
        std::size_t end = i + 1;
        while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
        text += (ranges > 1 ? ", " : "") + fmt::format("{}", ranks[i]);
        if (end - i > 1) text += fmt::format("-{}", ranks[end - 1]);
        i = end;
    }
    return text;
}

}  // namespace gpas
