#include "tests/io/checkpoint/checkpoint_support.hpp"

#include <numeric>

namespace gpas::checkpoint_tests {
namespace {

std::vector<float> numbers(std::int64_t n) {
    std::vector<float> values(std::size_t(n), 0.0f);
    std::iota(values.begin(), values.end(), 0.5f);
    return values;
}

// The value that docs/formats.md gives, to test a reader that is written from the page.
TEST(BlockSum, IsTheDocumentedNumber) {
    const float values[] = {1.0f, -2.0f, 0.0f};
    EXPECT_EQ(block_sum(0, values, 3), 0x6d4420c99dc5947cu);
}

TEST(BlockSum, OfPartsAddsUpToTheSumOfTheWhole) {
    const auto values = numbers(1000);
    EXPECT_EQ(block_sum(0, values.data(), 1000),
              block_sum(0, values.data(), 13) + block_sum(13, values.data() + 13, 987));
}

TEST(BlockSum, ChangesWithEveryBitAndEverySwap) {
    auto values = numbers(64);
    const std::uint64_t sum = block_sum(0, values.data(), 64);
    for (std::size_t i = 0; i < 64; ++i) {
        for (int bit = 0; bit < 32; ++bit) {
            const float original = values[i];
            std::uint32_t bits;
            std::memcpy(&bits, &original, 4);
            bits ^= 1u << bit;
            std::memcpy(&values[i], &bits, 4);
            EXPECT_NE(block_sum(0, values.data(), 64), sum);
            values[i] = original;
        }
        std::swap(values[i], values[(i + 7) % 64]);
        EXPECT_NE(block_sum(0, values.data(), 64), sum);
        std::swap(values[i], values[(i + 7) % 64]);
    }
}

TEST(BlockSum, OfAnyPartitionEqualsThatOfTheWholeTensor) {
    const std::vector<std::int64_t> shape{3, 700, 1000};  // three blocks, the last one short
    const auto values = numbers(element_count(shape));
    const std::size_t blocks = std::size_t(block_count(element_count(shape)));
    ASSERT_EQ(blocks, 3u);
    std::vector<std::uint64_t> whole(blocks, 0), whole_seen(blocks, 0), sum(blocks, 0), seen(blocks, 0);
    add_to_block_sums(whole, whole_seen, 0, values.data(), element_count(shape));
    // Columns [0, 300) and [300, 1000), the second again divided along the middle.
    const std::vector<std::array<std::vector<std::int64_t>, 2>> slabs{
        {{{0, 0, 0}, {3, 700, 300}}}, {{{0, 0, 300}, {3, 123, 700}}}, {{{0, 123, 300}, {3, 577, 700}}}};
    for (const auto& [start, count] : slabs) {
        std::vector<float> part;
        for_each_run(shape, start, count, [&](std::int64_t flat, std::int64_t offset, std::int64_t n) {
            ASSERT_EQ(offset, std::int64_t(part.size()));
            part.insert(part.end(), values.begin() + flat, values.begin() + flat + n);
            add_to_block_sums(sum, seen, flat, part.data() + offset, n);
        });
        ASSERT_EQ(std::int64_t(part.size()), element_count(count));
    }
    EXPECT_EQ(sum, whole);
    EXPECT_EQ(seen, whole_seen);
}

TEST(Pieces, CoverASlabOnceInMemoryOrderWhateverTheirSize) {
    const std::vector<std::int64_t> start{2, 1, 4}, count{5, 3, 7};
    for (std::int64_t most : {1, 2, 6, 7, 20, 21, 50, 1000}) {
        std::int64_t next = 0;
        for_each_piece(start, count, most, [&](auto from, auto extent, std::int64_t offset) {
            EXPECT_EQ(offset, next);
            EXPECT_LE(element_count(extent), most);
            for (std::size_t i = 0; i < 3; ++i) EXPECT_LE(from[i] + extent[i], start[i] + count[i]);
            next += element_count(extent);
        });
        EXPECT_EQ(next, element_count(count));
    }
}

TEST(Pieces, OfAnEmbeddingOfSixGigabytesStayBelowTwo) {
    const std::vector<std::int64_t> start{0, 0}, count{400000, 4096};
    std::int64_t pieces = 0, total = 0;
    for_each_piece(start, count, CheckpointOptions{}.piece_bytes / 4, [&](auto, auto extent, std::int64_t) {
        EXPECT_LT(element_count(extent) * 4, std::int64_t(1) << 31);
        ++pieces;
        total += element_count(extent);
    });
    EXPECT_EQ(total, element_count(count));
    EXPECT_GT(pieces, 20);
}

TEST(SplitRange, OfEveryRangeYieldsExactlyItsElementsInOrder) {
    const Named tensor{"weights/t", {4, 6, 5}};
    State state;
    state.add(tensor, {1, 2, 1}, {2, 3, 4});
    state.fill(true);
    const StateTensor& whole = state.parts[0];
    for (std::int64_t begin = 0; begin <= 24; ++begin) {
        for (std::int64_t end = begin; end <= 24; ++end) {
            std::int64_t next = begin;
            for (const StateTensor& part : split_range(whole, begin, end)) {
                if (part.count.empty()) continue;
                EXPECT_EQ(part.data, whole.data + next);
                for_each_run(part.global_shape, part.start, part.count,
                             [&](std::int64_t flat, std::int64_t offset, std::int64_t n) {
                                 for (std::int64_t k = 0; k < n; ++k)
                                     EXPECT_EQ(part.data[offset + k], value_of(tensor.name, flat + k));
                             });
                next += element_count(part.count);
            }
            EXPECT_EQ(next, end);
        }
    }
}

}  // namespace
}  // namespace gpas::checkpoint_tests
