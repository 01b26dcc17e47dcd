#include "io/config/stage_layers.hpp"

#include <charconv>

namespace gpas {

std::vector<std::int64_t> parse_stage_layers(std::string_view text) {
    std::vector<std::int64_t> counts;
    while (!text.empty()) {
        while (text.starts_with(' ')) text.remove_prefix(1);
        std::int64_t count = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
        if (error != std::errc() || count < 1) return {};
        counts.push_back(count);
        text.remove_prefix(std::size_t(end - text.data()));
        while (text.starts_with(' ')) text.remove_prefix(1);
        if (text.empty()) break;
        if (!text.starts_with(',') || text.size() == 1) return {};
        text.remove_prefix(1);
    }
    return counts;
}

}  // namespace gpas
