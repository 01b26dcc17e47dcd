// The option --text-key: which strings of a JSON object are the text of a document.
#pragma once

#include "io/data/json_line.hpp"

#include <string>
#include <string_view>

namespace gpas {

// Error(usage) unless `keys` is one key, or several keys separated by commas, none of them empty. A "/" is refused,
// because the keys are a part of the output's file name.
void check_text_keys(const std::string& keys);

// The keys in a file name: commas become "+".
std::string text_keys_in_file_name(std::string keys);

// text = the strings under `keys` of the object on the line, in the order of `keys`, joined with a newline. A key with
// dots is first looked up unchanged. If the object has no such key, the dots separate the keys of nested objects: "a.b"
// is the key "b" of the object under "a". Otherwise as json_line_text: returns false and fills `bad` if the line is not
// an object with a string under each key.
bool text_under_keys(std::string_view line, std::string_view keys, std::string& text, BadLine& bad);

}  // namespace gpas
