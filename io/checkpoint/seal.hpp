// The seal of a checkpoint file: a checksum of every byte that is not a tensor's data (tensors have block checksums).
// It is stored after the last byte of the HDF5 file, and checked before HDF5 opens the file, so that HDF5 never parses
// damaged structures. Internal to io/checkpoint.
#pragma once

#include "base/durable.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace gpas {

struct ByteRange {
    std::int64_t begin = 0, bytes = 0;
};

// data = the `bytes` bytes of the file from position `at` on.
using ReadBytes = std::function<void(std::int64_t at, void* data, std::int64_t bytes)>;

// Writes the seal at position `size`, the size of the HDF5 file in bytes. data: the ranges of the tensors' data, in any
// order. Error(environment).
void write_seal(PositionedFile& file, std::int64_t size, std::vector<ByteRange> data, const ReadBytes& read);

// Error(bad_file) if the seal is missing or does not match the file.
void check_seal(const std::filesystem::path& path);

}  // namespace gpas
