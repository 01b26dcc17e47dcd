// Files that are either whole or not there. Internal to io/checkpoint.
#pragma once

#include <cstdint>
#include <filesystem>

namespace gpas {

// Removes the file unless it was renamed first.
class TemporaryFile {
public:
    TemporaryFile() = default;
    explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {}
    TemporaryFile(TemporaryFile&& other) noexcept { path_.swap(other.path_); }
    TemporaryFile& operator=(TemporaryFile&& other) noexcept {
        path_.swap(other.path_);
        return *this;
    }
    ~TemporaryFile();
    // fsync, rename, fsync of the directory: after a power cut there is the old file or the new one.
    // Error(environment).
    void rename_to(const std::filesystem::path& target);

private:
    std::filesystem::path path_;
};

// Error(environment) when the file system of `directory` cannot take that many bytes more.
void check_free_space(const std::filesystem::path& directory, std::int64_t needed_bytes);
// Error(environment) when this rank does not see the file, or may not write it.
void check_writable(const std::filesystem::path& file);

}  // namespace gpas
