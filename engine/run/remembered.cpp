#include "engine/run/remembered.hpp"

namespace gpas {

RunMemory memory_of(const Remembered& remembered) {
    RunMemory memory{{"recent_losses", remembered.recent_losses}};
    if (remembered.peak.flops > 0) memory["measured_peak"] = text_of(remembered.peak);
    if (!remembered.token_ids.empty()) memory["token_ids"] = remembered.token_ids;
    if (remembered.evaluation_pending) memory["evaluation_pending"] = "yes";
    return memory;
}

Remembered remembered_in(const RunMemory& memory) {
    const auto entry = [&](const char* key) {
        const auto found = memory.find(key);
        return found == memory.end() ? std::string() : found->second;
    };
    return {.recent_losses = entry("recent_losses"),
            .peak = memory.contains("measured_peak") ? parse_peak(entry("measured_peak")) : MeasuredPeak{},
            .token_ids = entry("token_ids"),
            .evaluation_pending = memory.contains("evaluation_pending")};
}

}  // namespace gpas
