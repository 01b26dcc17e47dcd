// The arithmetic of checkpoints, without file access: hyperslabs, their pieces and runs, and block checksums.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gpas {

// A tensor's row-major elements are checksummed in blocks of this many; the last block may be short.
inline constexpr std::int64_t block_elements = std::int64_t(1) << 20;

// The sum over a block's elements of mix(position in the block << 32 | the element's 32 bits), modulo 2^64, where mix
// is the finalizer of splitmix64. A sum, so ranks that hold any parts of a block add up what they have in memory, and
// nobody reads back what was written; and since mix is a bijection, any change of a single element changes the sum.
std::uint64_t block_sum(std::int64_t position, const float* data, std::int64_t count);

std::int64_t element_count(std::span<const std::int64_t> shape);
inline std::int64_t block_count(std::int64_t elements) { return (elements + block_elements - 1) / block_elements; }

// Calls body(flat, offset, n) for each maximal run of a hyperslab that is contiguous in the global tensor: n elements
// at global row-major index `flat`, and at `offset` in the slab's own data.
void for_each_run(std::span<const std::int64_t> shape, std::span<const std::int64_t> start,
                  std::span<const std::int64_t> count,
                  const std::function<void(std::int64_t flat, std::int64_t offset, std::int64_t n)>& body);

// Calls body(start, count, offset) for pieces of at most max_elements that lie contiguous in the slab's own data.
void for_each_piece(std::span<const std::int64_t> start, std::span<const std::int64_t> count, std::int64_t max_elements,
                    const std::function<void(std::span<const std::int64_t> start, std::span<const std::int64_t> count,
                                             std::int64_t offset)>& body);

// Adds n elements, from the row-major index `flat` of their tensor on, to the sums of its blocks and to the count of
// elements seen in each.
void add_to_block_sums(std::span<std::uint64_t> sums, std::span<std::uint64_t> seen, std::int64_t flat,
                       const float* data, std::int64_t n);

std::string shape_text(std::span<const std::int64_t> shape);  // "[32000, 512]"

}  // namespace gpas
