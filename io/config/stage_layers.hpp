// The value of parallel.stage_layers.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gpas {

// The number of layers per model chunk (without virtual chunks: per pipeline stage) from a text such as "4,4,3". Empty
// for "auto", and for a text that is not a list of positive numbers.
std::vector<std::int64_t> parse_stage_layers(std::string_view text);

}  // namespace gpas
