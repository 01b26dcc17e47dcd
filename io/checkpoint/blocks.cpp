#include "io/checkpoint/blocks.hpp"

#include "io/checkpoint/checkpoint.hpp"

#include <algorithm>
#include <cstring>

namespace gpas {
namespace {

inline std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// The first axis from which on the slab covers all dimensions completely. The slab's elements from this axis on are
// contiguous in the tensor.
std::size_t first_whole_axis(std::span<const std::int64_t> shape, std::span<const std::int64_t> count) {
    std::size_t axis = shape.size();
    while (axis > 0 && count[axis - 1] == shape[axis - 1]) --axis;
    return axis;
}

// A hyperslab of a tensor, whose first element is data[offset] of the tensor.
struct Slab {
    std::vector<std::int64_t> start, count;  // per dimension
    std::int64_t offset;
};

StateTensor part_of(const StateTensor& whole, const Slab& slab) {
    return {whole.name, whole.global_shape, slab.start, slab.count, whole.data ? whole.data + slab.offset : nullptr};
}

bool holds_nothing(const StateTensor& tensor) { return tensor.count.empty() || element_count(tensor.count) == 0; }

// Appends the hyperslabs of elements [begin, end) of a slab of the dimensions from `axis` on. The coordinates of the
// dimensions before `axis` are fixed.
void add_range(std::vector<StateTensor>& parts, const StateTensor& whole, const Slab& slab, std::size_t axis,
               std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    const std::int64_t row = element_count(std::span(slab.count).subspan(axis + 1));
    const auto rows = [&](std::int64_t index, std::int64_t number) {
        Slab some = slab;
        some.start[axis] += index;
        some.count[axis] = number;
        some.offset += index * row;
        return some;
    };
    if (axis + 1 == slab.count.size()) {
        parts.push_back(part_of(whole, rows(begin, end - begin)));
        return;
    }
    const std::int64_t first = (begin + row - 1) / row, last = end / row;  // whole rows
    const auto within_row = [&](std::int64_t index, std::int64_t from, std::int64_t to) {
        add_range(parts, whole, rows(index, 1), axis + 1, from - index * row, to - index * row);
    };
    if (first > last) return within_row(last, begin, end);
    if (begin < first * row) within_row(first - 1, begin, first * row);
    if (first < last) parts.push_back(part_of(whole, rows(first, last - first)));
    if (last * row < end) within_row(last, last * row, end);
}

}  // namespace

// Wide vectors, four at a time, make this twice as fast on processors that have them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define GPAS_WIDE_VECTORS __attribute__((target("prefer-vector-width=512")))
#else
#define GPAS_WIDE_VECTORS
#endif

GPAS_WIDE_VECTORS std::uint64_t block_sum(std::int64_t position, const float* data, std::int64_t count) {
    std::uint64_t sum = 0;
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < count; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, data + i, sizeof bits);
        sum += mix(std::uint64_t(position + i) << 32 | bits);
    }
    return sum;
}

std::int64_t element_count(std::span<const std::int64_t> shape) {
    std::int64_t count = 1;
    for (std::int64_t dim : shape) count *= dim;
    return count;
}

void for_each_run(std::span<const std::int64_t> shape, std::span<const std::int64_t> start,
                  std::span<const std::int64_t> count,
                  const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& body) {
    if (count.empty() || element_count(count) == 0) return;
    // A run covers the complete trailing dimensions and the slab's range of the dimension before them.
    const std::size_t whole = first_whole_axis(shape, count);
    const std::size_t outer = whole == 0 ? 0 : whole - 1;
    const std::int64_t run = element_count(count.subspan(outer));
    const std::int64_t runs = element_count(count) / run;
    for (std::int64_t i = 0; i < runs; ++i) {
        std::int64_t flat = 0, stride = 1, rest = i;
        for (std::size_t axis = shape.size(); axis-- > 0;) {
            std::int64_t index = start[axis];
            if (axis < outer) {
                index += rest % count[axis];
                rest /= count[axis];
            }
            flat += index * stride;
            stride *= shape[axis];
        }
        body(flat, i * run, run);
    }
}

void for_each_piece(
    std::span<const std::int64_t> start, std::span<const std::int64_t> count, std::int64_t max_elements,
    const std::function<void(std::span<const std::int64_t>, std::span<const std::int64_t>, std::int64_t)>& body) {
    const std::int64_t total = count.empty() ? 0 : element_count(count);
    if (total == 0) return;
    if (total <= max_elements) return body(start, count, 0);
    std::size_t axis = 0;
    while (axis + 1 < count.size() && count[axis] == 1) ++axis;
    if (count[axis] == 1) return body(start, count, 0);  // a single element
    const std::int64_t row = total / count[axis];
    const std::int64_t rows = std::max<std::int64_t>(1, max_elements / row);
    std::vector<std::int64_t> from(start.begin(), start.end()), extent(count.begin(), count.end());
    for (std::int64_t first = 0; first < count[axis]; first += rows) {
        from[axis] = start[axis] + first;
        extent[axis] = std::min(rows, count[axis] - first);
        for_each_piece(from, extent, max_elements, [&](auto piece_start, auto piece_count, std::int64_t offset) {
            body(piece_start, piece_count, first * row + offset);
        });
    }
}

void add_to_block_sums(std::span<std::uint64_t> sums, std::span<std::uint64_t> seen, std::int64_t flat,
                       const float* data, std::int64_t n) {
    while (n > 0) {
        const std::int64_t block = flat / block_elements, position = flat % block_elements;
        const std::int64_t part = std::min(n, block_elements - position);
        sums[std::size_t(block)] += block_sum(position, data, part);
        seen[std::size_t(block)] += std::uint64_t(part);
        flat += part, data += part, n -= part;
    }
}

std::string shape_text(std::span<const std::int64_t> shape) {
    std::string text;
    for (std::int64_t dim : shape) text += (text.empty() ? "" : ", ") + std::to_string(dim);
    return "[" + text + "]";
}

std::vector<StateTensor> split_range(const StateTensor& whole, std::int64_t begin, std::int64_t end) {
    std::vector<StateTensor> parts;
    if (!holds_nothing(whole)) add_range(parts, whole, {whole.start, whole.count, 0}, 0, begin, end);
    if (parts.empty()) parts.push_back({whole.name, whole.global_shape, {}, {}, nullptr});
    return parts;
}

}  // namespace gpas
