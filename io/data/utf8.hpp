// Finds, repairs and counts ill-formed UTF-8; no other part of io/data does so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gpas {

// Length in bytes of the longest well-formed prefix of `text`; text.size() if the whole text is well-formed. Overlong
// forms, surrogates and code points above U+10FFFF are not well-formed (Unicode 15, table 3-7).
std::size_t valid_utf8_prefix(std::string_view text);

// The text with each maximal ill-formed part replaced by one U+FFFD, as Unicode recommends. `replaced` += the number of
// replacements.
std::string repair_utf8(std::string_view text, std::int64_t& replaced);
// `text` itself if it is well-formed. Otherwise the repaired text, which is stored in `storage`.
std::string_view well_formed(std::string_view text, std::string& storage);
std::string well_formed(std::string text);  // the same with a text of its own

}  // namespace gpas
