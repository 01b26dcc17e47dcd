// Reads a text file or stream (pipe, FIFO, standard input), plain or compressed. The first bytes, not the name,
// determine the compression: gzip, zstd, bzip2, xz (decompressor.hpp), else no compression.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gpas {

class TextFile {
public:
    explicit TextFile(const std::string& path);  // "-": standard input
    ~TextFile();
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;

    // Writes the next bytes of the uncompressed text to `out`, at most `bytes`, and returns their number; 0 only at the
    // end. Error(bad_file) if the compressed data are damaged or truncated; the message gives the byte in the stored
    // file.
    std::int64_t read(char* out, std::int64_t bytes);
    void skip(std::int64_t bytes);  // of the uncompressed text
    // The next `bytes` bytes of the text, fewer only if the text ends before; read() still returns them. Valid until
    // the next call of any function.
    std::string_view peek(std::int64_t bytes);

    const char* unpack_command() const;   // such as "gzip -dc"; "" if the file is not compressed
    bool is_stream() const;               // not a regular file: the size is unknown, and it can be read only once
    std::int64_t stored_bytes() const;    // size of the file on disk; 0 for a stream
    std::int64_t consumed_bytes() const;  // bytes of the stored (compressed) file that were read so far

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gpas
