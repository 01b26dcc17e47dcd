// Files that are complete or absent, also after a power failure: written under a temporary name, synced, renamed.
#pragma once

#include "base/descriptor.hpp"

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace gpas {

// The owner of a file with a temporary name. The destructor removes the file unless rename_to() has succeeded.
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
    // fsync, rename, fsync of the directory. After a power failure either the old `target` exists or the new one,
    // complete. Error(environment).
    void rename_to(const std::filesystem::path& target);

private:
    std::filesystem::path path_;
};

// A file for writes at given positions. Several ranks may write one file, each through its own object.
class PositionedFile {
public:
    enum class Open { existing, create };
    // Error(environment) if the file does not exist (`existing`), exists already (`create`), or access is denied.
    explicit PositionedFile(const std::filesystem::path& path, Open how = Open::existing);

    // Writes all `bytes` bytes of data at position `at`, in bytes from the start. `what` names the data in the error
    // message. Error(environment).
    void write(std::int64_t at, const void* data, std::int64_t bytes, std::string_view what);
    void set_size(std::int64_t bytes);  // Error(environment)
    // Returns when the disk holds all data written so far (fsync). Error(environment).
    void sync();

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
};

// Returns when the disk holds the directory's entries (fsync). Error(environment).
void sync_directory(const std::filesystem::path& directory);

// Error(environment) if the file system of `directory` has fewer than needed_bytes free. `what` names the data for the
// error message: "the checkpoint".
void check_free_space(const std::filesystem::path& directory, std::int64_t needed_bytes, std::string_view what);

}  // namespace gpas
