// A buffered output file whose failures become Errors, and functions that make a finished file appear completely or not
// at all.
#pragma once

#include "base/descriptor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// Error(environment) if a system call fails. Not thread-safe. The destructor discards the buffer: call flush() or
// sync() first.
class OutputFile {
public:
    enum class Mode { create, resume };  // create empties an existing file; resume keeps it (the file must exist)

    OutputFile(std::string path, Mode mode);

    void write(const void* data, std::int64_t bytes);                          // appends to the file
    void write_at(std::int64_t offset, const void* data, std::int64_t bytes);  // over bytes already written
    void read_at(std::int64_t offset, void* data, std::int64_t bytes);  // flushes first; Error(bad_file) past the end
    void truncate(std::int64_t bytes);                                  // to this size; write() appends there
    void flush();
    void sync();  // flush and fsync
    std::int64_t size_bytes() const { return size_bytes_; }
    const std::string& path() const { return path_; }

private:
    void write_through(std::int64_t offset, const char* data, std::int64_t bytes);

    std::string path_;
    Descriptor file_;
    std::int64_t size_bytes_ = 0;  // including the bytes in the buffer
    std::vector<char> buffer_;
};

// rename(from, to) and fsync of the directory, so that the new name survives a power failure. Error(environment).
void rename_durably(const std::string& from, const std::string& to);

// Writes `path`.partial and renames it to `path`: readers see the old content or the new content, never a part.
void write_file_durably(const std::string& path, const std::string& content);

}  // namespace gpas
