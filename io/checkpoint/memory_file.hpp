// HDF5 files whose bytes stay in memory until they are asked for. A save writes them to the disk itself: HDF5 (1.10)
// keeps a broken file after a write that failed, and takes the process with it when it ends. Internal to io/checkpoint.
#pragma once

#include "base/durable.hpp"
#include "io/checkpoint/hdf5_file.hpp"

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>

namespace gpas::h5 {

// Only what was written takes memory, so tensors that are laid out but not written take none.
class MemoryFile {
public:
    MemoryFile() = default;
    MemoryFile(const MemoryFile&) = delete;  // HDF5 holds its address
    MemoryFile& operator=(const MemoryFile&) = delete;

    // A new HDF5 file, empty. This object outlives it. `path` is for messages. Error(environment).
    Handle create(const std::filesystem::path& path);

    // When the HDF5 file is closed: writes all bytes that it wrote to their places, and no others, and makes the file
    // as long as it is. Error(environment).
    void write_to(PositionedFile& file) const;

    // For HDF5.
    void write(std::int64_t at, const void* data, std::int64_t bytes) noexcept;  // sets failed() if memory runs out
    void read(std::int64_t at, void* data, std::int64_t bytes) const;            // zeros where nothing was written
    std::int64_t size() const { return size_; }
    void set_size(std::int64_t bytes) { size_ = bytes; }

private:
    static constexpr std::int64_t page_bytes = 4096;
    struct Page {
        std::array<std::byte, page_bytes> bytes{};
        std::bitset<page_bytes> written;
    };
    std::map<std::int64_t, Page> pages_;  // by number
    std::int64_t size_ = 0;
    bool failed_ = false;
};

}  // namespace gpas::h5
