// The bytes of a text file or stream (pipe, FIFO, standard input), plain or compressed. Its first bytes, not its name,
// say which: gzip (of one or several members, zeros may follow), zstd (of one or several frames), else plain.
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

    // Up to `bytes` bytes of text; 0 only at the end. Fails with ExitCode::bad_file, naming the byte of the stored
    // file, where the compressed data are damaged or cut off.
    std::int64_t read(char* out, std::int64_t bytes);
    void skip(std::int64_t bytes);
    // The text that read() returns next, without taking it: `bytes` bytes, fewer only if the text ends before. Valid
    // until the next call.
    std::string_view peek(std::int64_t bytes);

    const char* unpack_command() const;   // "gzip -dc" or "zstd -dc"; "" if it is not compressed
    bool is_stream() const;               // not a regular file: its size is unknown, and it can be read only once
    std::int64_t stored_bytes() const;    // size of the file on disk; 0 for a stream
    std::int64_t consumed_bytes() const;  // of the stored file, so far

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gpas
