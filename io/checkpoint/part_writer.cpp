#include "io/checkpoint/part_writer.hpp"

#include "base/durable.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/state_list.hpp"

#include <algorithm>
#include <bit>

namespace gpas {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are written as they lie in memory");

// Small enough that the elements are still in the cache when they are written after their checksum.
constexpr std::int64_t piece_elements = std::int64_t(1) << 18;

}  // namespace

BlockSums write_parts(const std::filesystem::path& file, const StateList& list, std::span<const StateTensor> parts,
                      std::span<const std::int64_t> data_bytes, const std::atomic<bool>& cancelled) {
    const std::size_t blocks = std::size_t(list.first_block.back());
    BlockSums result{.sums = std::vector<std::uint64_t>(blocks, 0), .seen = std::vector<std::uint64_t>(blocks, 0)};
    PositionedFile out(file);
    std::vector<float> produced;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const StateTensor& part = parts[i];
        if (is_empty(part) || cancelled) continue;
        const float* values = part.data;
        if (values == nullptr) {
            produced.resize(std::size_t(element_count(part.count)));
            part.produce(produced.data());
            values = produced.data();
        }
        const std::size_t tensor = list.tensor_of[i];
        const std::size_t first = std::size_t(list.first_block[tensor]);
        const std::size_t count = std::size_t(list.first_block[tensor + 1]) - first;
        const std::span<std::uint64_t> sums = std::span(result.sums).subspan(first, count);
        const std::span<std::uint64_t> seen = std::span(result.seen).subspan(first, count);
        constexpr std::int64_t bytes_per_element = sizeof(float);
        for_each_run(part.global_shape, part.start, part.count,
                     [&](std::int64_t flat, std::int64_t offset, std::int64_t n) {
                         for (std::int64_t done = 0; done < n && !cancelled; done += piece_elements) {
                             const std::int64_t piece = std::min(piece_elements, n - done);
                             const float* data = values + offset + done;
                             add_to_block_sums(sums, seen, flat + done, data, piece);
                             out.write(data_bytes[tensor] + (flat + done) * bytes_per_element, data,
                                       piece * bytes_per_element, part.name);
                         }
                     });
    }
    if (!cancelled) out.sync();
    return result;
}

}  // namespace gpas
