// One rank's share of a save: its hyperslabs into a file that is already laid out. Uses neither MPI nor HDF5, so
// that a background thread can run it during training. Internal to io/checkpoint.
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

// Of every block of the file: what this rank's elements add to its checksum, and how many they are.
struct BlockSums {
    std::vector<std::uint64_t> sums, seen;
};

// Writes the elements of `parts` as little-endian fp32 where the file has them, then waits until the disk has them.
// data_bytes: of each tensor of the list, the position in the file of its first byte. Ends early when `cancelled` turns
// true. Error(environment) naming file and tensor; what was written until then stays.
BlockSums write_parts(const std::filesystem::path& file, const StateList& list, std::span<const StateTensor> parts,
                      std::span<const std::int64_t> data_bytes, const std::atomic<bool>& cancelled);

}  // namespace gpas
