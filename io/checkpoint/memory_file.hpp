// An HDF5 file driver that keeps the bytes of a file in memory. A save writes these bytes to disk itself, because HDF5
// (1.10) does not release a file whose write has failed, and then crashes the process when it ends. Internal to
// io/checkpoint.
#pragma once

#include "base/durable.hpp"
#include "io/checkpoint/hdf5_file.hpp"

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>

namespace gpas::h5 {

// Only pages with written bytes take memory. So tensors whose space is allocated but not written take no memory.
class MemoryFile {
public:
    MemoryFile() = default;
    MemoryFile(const MemoryFile&) = delete;  // HDF5 holds its address
    MemoryFile& operator=(const MemoryFile&) = delete;

    // Creates an empty HDF5 file. This object must outlive the handle. `path` is for messages. Error(environment).
    Handle create(const std::filesystem::path& path);

    // Call this after the HDF5 file is closed. Writes exactly the bytes that HDF5 wrote, at their positions, and sets
    // the size of `file` to the size of the HDF5 file. Error(environment).
    void write_to(PositionedFile& file) const;

    // Called by HDF5.
    void write(std::int64_t at, const void* data, std::int64_t bytes) noexcept;  // sets failed_ if memory runs out
    void read(std::int64_t at, void* data, std::int64_t bytes) const;  // bytes that were not written read as 0
    std::int64_t size() const { return size_; }
    void set_size(std::int64_t bytes) { size_ = bytes; }

private:
    static constexpr std::int64_t page_bytes = 4096;
    struct Page {
        std::array<std::byte, page_bytes> bytes{};
        std::bitset<page_bytes> written;
    };
    std::map<std::int64_t, Page> pages_;  // by page number: position / page_bytes
    std::int64_t size_ = 0;
    bool failed_ = false;
};

}  // namespace gpas::h5
