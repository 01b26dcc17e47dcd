// Sums over rows in an order that does not depend on the number of threads. The shape alone determines how rows are cut
// into blocks. Each block sums its rows in order, and then the blocks' sums are added in order.
#pragma once

#include "kernels/cpu/parallel_for.hpp"

#include <algorithm>
#include <cstdint>

namespace gpas::cpu {

inline constexpr std::int64_t most_blocks = 64;

struct RowBlocks {
    std::int64_t rows;
    std::int64_t block_rows;
    std::int64_t count;
    explicit RowBlocks(std::int64_t row_count)
        : rows(row_count),
          block_rows(std::max<std::int64_t>(8, (row_count + most_blocks - 1) / most_blocks)),
          count((row_count + block_rows - 1) / block_rows) {}
    std::int64_t begin(std::int64_t block) const { return block * block_rows; }
    std::int64_t end(std::int64_t block) const { return std::min(rows, (block + 1) * block_rows); }
};

// `count` uninitialised values of T from context.scratch(), valid until the arena's scope ends.
template <class T>
T* scratch_array(Context& context, std::int64_t count) {
    const std::int64_t words = (count * std::int64_t(sizeof(T)) + 3) / 4;
    return static_cast<T*>(context.scratch().allocate(Dtype::fp32, {words}).data);
}

// Upper bound of an operation's scratch for sums over row blocks: a row of fp32 partial sums per block, and 32 bytes of
// scalars per block.
constexpr std::int64_t row_block_scratch_bytes(std::int64_t columns) {
    return most_blocks * columns * 4 + most_blocks * 4 * 8 + 4 * Arena::alignment_bytes;
}

// Block size of elementwise loops.
inline constexpr std::int64_t flat_block_elements = 1 << 16;

}  // namespace gpas::cpu
