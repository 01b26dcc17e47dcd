// Unpacks gzip, zstd, bzip2 and xz data as they arrive, in pieces of any size.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace gpas {

class Decompressor {
public:
    struct Step {
        std::size_t taken = 0, written = 0;  // bytes of the input and of the output
        std::string problem;                 // if the input is damaged: the reason; else empty
    };

    virtual ~Decompressor() = default;
    // Unpacks bytes from the beginning of `input`, and writes at most `bytes` bytes of text to `out`. After the last
    // input, calls with an empty input give the text that the decompressor still holds. std::bad_alloc.
    virtual Step step(std::string_view input, char* out, std::size_t bytes) = 0;
    // Whether the stored data may end here: all input so far is whole members (gzip), frames (zstd) or streams (bzip2,
    // xz), and perhaps zeros after them.
    virtual bool may_end() const = 0;
    virtual const char* name() const = 0;     // "gzip"
    virtual const char* command() const = 0;  // "gzip -dc": the shell command that unpacks the data
};

constexpr std::size_t longest_magic = 10;  // bytes that decompressor_for examines

// The decompressor for stored data with these first bytes (at least longest_magic of them, unless the data are
// shorter); null if the data are not compressed in one of the four formats. Several members, frames or streams may
// follow each other. Zeros may follow a member or stream, as tapes and block devices append them.
std::unique_ptr<Decompressor> decompressor_for(std::string_view head);

}  // namespace gpas
