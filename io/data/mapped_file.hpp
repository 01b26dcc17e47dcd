// A whole file mapped read-only into memory; the destructor unmaps it.
#pragma once

#include <cstdint>
#include <string>

namespace gpas {

class MappedFile {
public:
    MappedFile() = default;
    // Error(bad_file) if the path does not exist or is not a regular file. Error(environment) if the system cannot open
    // or map the file.
    explicit MappedFile(const std::string& path);
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    const unsigned char* data() const { return data_; }  // null for an empty file
    std::int64_t size_bytes() const { return size_bytes_; }
    const std::string& path() const { return path_; }

private:
    std::string path_;
    const unsigned char* data_ = nullptr;
    std::int64_t size_bytes_ = 0;
};

}  // namespace gpas
