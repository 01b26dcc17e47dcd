// Reads a node of a YAML document strictly as the type that a key declares.
#pragma once

#include "io/config/document.hpp"
#include "io/config/schema.hpp"

#include <optional>
#include <string_view>

namespace gpas {

// Error(usage) with the place of the node if it has another type or is outside the key's range.
ConfigValue read_value(const KeySpec& key, const ConfigNode& node);

// "100", "1_000_000" and "1e6" are integers; "1.5", "0x10", "010" and "10k" are not.
std::optional<std::int64_t> parse_integer(std::string_view text);
// Finite decimal numbers, underscores between digits allowed.
std::optional<double> parse_real(std::string_view text);

}  // namespace gpas
