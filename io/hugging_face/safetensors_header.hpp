// Parses the JSON header of a safetensors file. Internal to io/hugging_face.
#pragma once

#include "io/hugging_face/safetensors.hpp"

#include <string_view>

namespace gpas {

struct SafetensorsHeader {
    std::vector<SafetensorsEntry> entries;  // sorted by the position of their data
    std::map<std::string, std::string> metadata;
};

// data_bytes: size of the file after the header. Error(bad_file) if the header is invalid or does not match data_bytes;
// the message names `file`.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::int64_t data_bytes, const std::string& file);

}  // namespace gpas
