// The bytes of a text file, plain or compressed. What it is, its first bytes say, not its name: gzip (with several
// members), zstd (with several frames), else plain.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace gpas {

class TextFile {
public:
    explicit TextFile(const std::string& path);
    ~TextFile();
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;

    // Up to `bytes` bytes of text; 0 only at the end. Fails with ExitCode::bad_file, naming the byte of the stored
    // file, where the compressed data are damaged or cut off.
    std::int64_t read(char* out, std::int64_t bytes);
    void skip(std::int64_t bytes);

    bool compressed() const;
    std::int64_t stored_bytes() const;    // size of the file on disk
    std::int64_t consumed_bytes() const;  // of the stored file, so far

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gpas
