#include "engine/commands/top_parts.hpp"

#include "io/metrics/text.hpp"

#include <algorithm>

namespace gpas {

Line joined(const std::vector<Span>& parts) {
    Line line;
    for (const Span& part : parts) {
        if (part.text.empty()) continue;
        if (!line.empty()) line.push_back({" · ", Style::faint});
        line.push_back(part);
    }
    if (line.empty()) line.push_back({"unknown", Style::faint});
    return line;
}

Line labelled(const char* label, const Line& text) {
    Line line{{padded(label, label_columns), Style::faint}};
    line.insert(line.end(), text.begin(), text.end());
    return line;
}

std::string ago_text(double time, double now) {
    return std::isfinite(time) ? duration_text(std::max(0.0, now - time)) + " ago" : "";
}

}  // namespace gpas
