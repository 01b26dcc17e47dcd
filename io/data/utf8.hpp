// Text is UTF-8. What is not is repaired in one place, here, and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gpas {

// The longest well-formed prefix of text, in bytes (text.size() when all is well). Overlong forms, surrogates and code
// points above U+10FFFF are not well-formed (Unicode 15, table 3-7).
std::size_t valid_utf8_prefix(std::string_view text);

// Each maximal ill-formed part becomes one U+FFFD, as Unicode recommends; their number is added to `replaced`.
std::string repair_utf8(std::string_view text, std::int64_t& replaced);

}  // namespace gpas
