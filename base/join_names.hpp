// Joins texts with a separator. (Not fmt::join: g++ 12 at -O3 warns of an overflow in fmt 9's range formatter.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gpas {

inline std::string join_names(const std::vector<std::string>& parts, std::string_view separator) {
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0) text += separator;
        text += parts[i];
    }
    return text;
}

}  // namespace gpas
