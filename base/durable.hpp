// Files that are either whole or not there.
#pragma once

#include "base/descriptor.hpp"

#include <cstdint>
#include <filesystem>
#include <string_view>

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

// A file that this rank writes into, at any place.
class PositionedFile {
public:
    enum class Open { existing, create };
    // Error(environment): `existing` is not there, `create` is, or there is no permission.
    explicit PositionedFile(const std::filesystem::path& path, Open how = Open::existing);

    // `bytes` of data at position `at`, all of them; `what` is for the message. Error(environment).
    void write(std::int64_t at, const void* data, std::int64_t bytes, std::string_view what);
    void set_size(std::int64_t bytes);  // Error(environment)
    // Returns when the disk has what was written. Error(environment).
    void sync();

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
};

// Returns when the disk has the directory's entries. Error(environment).
void sync_directory(const std::filesystem::path& directory);

// Error(environment) when the file system of `directory` cannot take that many bytes more.
void check_free_space(const std::filesystem::path& directory, std::int64_t needed_bytes);

}  // namespace gpas
