// The value of parallel.stage_layers.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gpas {

// Layers of each model stage from a text such as "4,4,3". Empty for "auto", and for what is no list of positive
// numbers.
std::vector<std::int64_t> parse_stage_layers(std::string_view text);

}  // namespace gpas
