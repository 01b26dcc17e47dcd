// The end of a checkpoint file, after all that HDF5 knows of: a checksum of every byte that is not a tensor's data
// (those have their own). Checked before HDF5 opens the file, so that HDF5 never reads a damaged file. Internal to
// io/checkpoint.
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

// Reads `bytes` of the file at `at`.
using ReadBytes = std::function<void(std::int64_t at, void* data, std::int64_t bytes)>;

// Writes the seal of a file of `size` bytes behind them. data: the tensors' data in it, in any order.
// Error(environment).
void write_seal(PositionedFile& file, std::int64_t size, std::vector<ByteRange> data, const ReadBytes& read);

// Error(bad_file) if the seal is missing or does not match the file.
void check_seal(const std::filesystem::path& path);

}  // namespace gpas
