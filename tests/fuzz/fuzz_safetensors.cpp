// Any bytes as a file of tensors: read, or refused with one line.
#include "base/error.hpp"
#include "io/hugging_face/safetensors_header.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view json(reinterpret_cast<const char*>(data), size);
    // As much data as the last offset says, so that headers that are sound are taken.
    std::int64_t bytes = 0;
    for (const char c : json.substr(json.size() - std::min<std::size_t>(json.size(), 12)))
        if (c >= '0' && c <= '9') bytes = bytes * 10 + (c - '0');
    try {
        const auto header = gpas::parse_safetensors_header(json, bytes, "fuzz");
        std::int64_t next = 0;
        for (const gpas::SafetensorsEntry& entry : header.entries) {
            if (entry.begin != next || entry.end < entry.begin) std::abort();
            next = entry.end;
        }
        if (next != bytes) std::abort();
    } catch (const gpas::Error& error) {
        if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    }
    return 0;
}
