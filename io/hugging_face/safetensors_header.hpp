// The JSON at the beginning of a file of tensors. Internal to io/hugging_face.
#pragma once

#include "io/hugging_face/safetensors.hpp"

#include <string_view>

namespace gpas {

struct SafetensorsHeader {
    std::vector<SafetensorsEntry> entries;  // in the order of their data
    std::map<std::string, std::string> metadata;
};

// data_bytes: what the file has after the header. Error(bad_file), naming `file`.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::int64_t data_bytes, const std::string& file);

}  // namespace gpas
