// The arithmetic of checkpoints, without file access: hyperslabs, their pieces and runs, and block checksums.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gpas {

// Elements per checksum: each block of this many elements of a tensor, in row-major order, has a checksum. The last
// block may be shorter.
inline constexpr std::int64_t block_elements = std::int64_t(1) << 20;

// The checksum of `count` elements of a block, from `position` in the block on: the sum of
//     mix(position in the block << 32 | the element's 32 bits), modulo 2^64,
// with mix the finaliser of SplitMix64. Because it is a sum, ranks that hold different parts of a block add their sums,
// and no rank reads back what was written. Because mix is a bijection, a change of a single element always changes the
// sum.
std::uint64_t block_sum(std::int64_t position, const float* data, std::int64_t count);

std::int64_t element_count(std::span<const std::int64_t> shape);  // the product of the extents
inline std::int64_t block_count(std::int64_t elements) { return (elements + block_elements - 1) / block_elements; }

// Calls body(flat, offset, n) for each maximal run of a hyperslab that is contiguous in the global tensor: n elements
// at global row-major index `flat`, and at `offset` in the slab's own data.
void for_each_run(std::span<const std::int64_t> shape, std::span<const std::int64_t> start,
                  std::span<const std::int64_t> count,
                  const std::function<void(std::int64_t flat, std::int64_t offset, std::int64_t n)>& body);

// Divides a hyperslab into pieces of at most max_elements that are contiguous in the slab's own data, and calls
// body(start, count, offset) for each. `offset`: position of the piece in the slab's own data, in elements.
void for_each_piece(std::span<const std::int64_t> start, std::span<const std::int64_t> count, std::int64_t max_elements,
                    const std::function<void(std::span<const std::int64_t> start, std::span<const std::int64_t> count,
                                             std::int64_t offset)>& body);

// For n elements at row-major index `flat` of their tensor: sums[b] += the checksum of the elements in block b, and
// seen[b] += the number of elements in block b.
void add_to_block_sums(std::span<std::uint64_t> sums, std::span<std::uint64_t> seen, std::int64_t flat,
                       const float* data, std::int64_t n);

std::string shape_text(std::span<const std::int64_t> shape);  // "[32000, 512]"

}  // namespace gpas
