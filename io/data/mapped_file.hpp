// A whole file mapped read-only into memory; the destructor unmaps it.
#pragma once

#include <cstdint>
#include <string>

namespace gpas {

class MappedFile {
public:
    MappedFile() = default;
    // Fails with ExitCode::bad_file when the path is absent or is no regular file, ExitCode::environment when the
    // system refuses to open or map it.
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
