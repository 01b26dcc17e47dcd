// Writes one rank's part of a save: its hyperslabs, into a file in which every tensor's space is allocated. Calls
// neither MPI nor HDF5, so a background thread can run it during training. Internal to io/checkpoint.
#pragma once

#include "io/checkpoint/checkpoint.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace gpas {

struct StateList;

// For every block of the file: the checksum of this rank's elements in it (a term of the block's checksum), and their
// number.
struct BlockSums {
    std::vector<std::uint64_t> sums, seen;
};

// Writes the elements of `parts` as little-endian fp32 to their positions in the file, and syncs it to disk.
// data_bytes: for each tensor of `list`, the position of its first byte in the file. Returns early if another thread
// sets `cancelled`. Error(environment) names file and tensor; bytes written before the error stay in the file.
BlockSums write_parts(const std::filesystem::path& file, const StateList& list, std::span<const StateTensor> parts,
                      std::span<const std::int64_t> data_bytes, const std::atomic<bool>& cancelled);

}  // namespace gpas
