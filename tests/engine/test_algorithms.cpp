// How ranks come to the same algorithms for their matrix products.
#include "base/error.hpp"
#include "engine/model/products.hpp"
#include "engine/run/shared_choices.hpp"
#include "tests/support/thread_communicator.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <set>

namespace gpas {
namespace {

using cuda::MatmulChoice;
using cuda::MatmulChoices;
using cuda::MatmulKey;

MatmulKey product(std::int64_t n) { return {{n, 8, n, 8}, {1, 1, 0, 0, 0}, {64, 64, 64}}; }
// What a rank comes to when it times a product; all its bits are used.
MatmulChoice timed_by(int rank, std::int64_t n) {
    return {~std::uint64_t(rank), std::uint64_t(n), 3, 4, 5, 6, 7, 1ULL << 63};
}

struct Rank {
    std::vector<MatmulKey> products;
    std::string machine = "GPU";
    std::vector<std::int64_t> timed;  // what it was asked to time
    SharedChoices shared;
};

void share(std::vector<Rank>& ranks, const MatmulChoices& kept_by_rank_0) {
    run_as_threads(int(ranks.size()), [&](Communicator& world) {
        Rank& mine = ranks[std::size_t(world.rank())];
        mine.shared =
            share_choices(world, mine.products, mine.machine, world.rank() == 0 ? kept_by_rank_0 : MatmulChoices{},
                          [&](std::span<const MatmulKey> products) {
                              std::vector<MatmulChoice> choices;
                              for (const MatmulKey& key : products) {
                                  mine.timed.push_back(key.sizes[0]);
                                  choices.push_back(timed_by(world.rank(), key.sizes[0]));
                              }
                              return choices;
                          });
    });
}

TEST(Products, of_a_part_are_each_listed_once_and_those_of_the_last_chunk_of_the_head_too) {
    const ModelConfig model{.vocab_size = 96, .hidden_size = 32, .ffn_size = 64, .layers = 2, .heads = 4};
    const ModelShape shape{.batch = 5, .sequence = 16, .dtype = Dtype::bf16, .head_chunk = 32};
    const auto rows_of_heads = [&](const std::vector<MatmulKey>& keys) {
        std::vector<std::int64_t> rows;
        for (const MatmulKey& key : keys)
            if (key.rows() == model.vocab_size && key.result_dtype() == Dtype::fp32) rows.push_back(key.columns());
        return rows;
    };
    const auto whole = products_of(model, shape, {whole_model(model)});
    EXPECT_EQ(rows_of_heads(whole), (std::vector<std::int64_t>{32, 16}));  // 80 tokens
    EXPECT_EQ(whole.size(), 3U * 6U);
    EXPECT_EQ(std::set(whole.begin(), whole.end()).size(), whole.size());
    ModelShape evaluated = shape;
    evaluated.training = false;
    EXPECT_EQ(products_of(model, evaluated, {whole_model(model)}).size(), 6U);
    const auto middle = products_of(model, shape, {{.layers = {0, 1}, .embedding = false, .head = false}});
    EXPECT_EQ(middle.size(), 3U * 4U);
    EXPECT_TRUE(rows_of_heads(middle).empty());
}

// 10 tokens on 4 ranks are blocks of 3, 3, 3 and 1 rows; weight gradients are of all rows.
TEST(Products, of_layers_are_those_of_each_block_if_messages_overlap) {
    const ModelConfig model{.vocab_size = 96, .hidden_size = 32, .ffn_size = 64, .layers = 2, .heads = 4};
    const ModelShape shape{.batch = 1,
                           .sequence = 10,
                           .dtype = Dtype::bf16,
                           .tensor_size = 4,
                           .sequence_parallel = true,
                           .tensor_overlap = true};
    std::set<std::int64_t> rows;
    std::set<std::vector<std::int64_t>> alignments;  // those of blocks that begin elsewhere
    for (const MatmulKey& key : products_of(model, shape, {{.layers = {0, 1}, .embedding = false, .head = false}})) {
        const bool weight_gradient = key.accumulates();
        if (!weight_gradient) rows.insert(key.columns());
        EXPECT_FALSE(weight_gradient && key.result_dtype() != Dtype::fp32);
        alignments.insert({key.alignments.begin(), key.alignments.end()});
    }
    EXPECT_EQ(rows, (std::set<std::int64_t>{3, 1}));
    EXPECT_GT(alignments.size(), 1U);
}

TEST(SharedChoices, are_rank_0s_and_otherwise_those_of_the_lowest_rank_that_has_the_product) {
    std::vector<Rank> ranks(4);
    ranks[0].products = {product(1), product(2)};
    ranks[1].products = {product(2), product(3)};
    ranks[2].products = {};
    ranks[3].products = {product(3), product(1), product(4)};
    share(ranks, {});
    const MatmulChoices expected{{product(1), timed_by(0, 1)},
                                 {product(2), timed_by(0, 2)},
                                 {product(3), timed_by(1, 3)},
                                 {product(4), timed_by(3, 4)}};
    for (const Rank& rank : ranks) {
        EXPECT_EQ(rank.shared.choices, expected);
        EXPECT_EQ(rank.shared.products, 4);
        EXPECT_EQ(rank.shared.timed, 4);
    }
    EXPECT_EQ(ranks[0].timed, (std::vector<std::int64_t>{1, 2}));
    EXPECT_EQ(ranks[1].timed, (std::vector<std::int64_t>{3}));
    EXPECT_TRUE(ranks[2].timed.empty());
    EXPECT_EQ(ranks[3].timed, (std::vector<std::int64_t>{4}));
}

TEST(SharedChoices, that_rank_0_has_kept_are_not_timed_again_by_any_rank) {
    const MatmulChoice old{9, 9, 9};
    std::vector<Rank> ranks(2);
    ranks[0].products = {product(1)};
    ranks[1].products = {product(1), product(2), product(3)};
    share(ranks, {{product(1), old}, {product(2), old}, {product(7), old}});
    for (const Rank& rank : ranks) {
        EXPECT_EQ(rank.shared.choices,
                  (MatmulChoices{{product(1), old}, {product(2), old}, {product(3), timed_by(1, 3)}}));
        EXPECT_EQ(rank.shared.timed, 1);
    }
    EXPECT_TRUE(ranks[0].timed.empty());
}

TEST(SharedChoices, of_another_kind_of_gpu_are_its_own) {
    std::vector<Rank> ranks(3);
    for (Rank& rank : ranks) rank.products = {product(1)};
    ranks[1].machine = ranks[2].machine = "another GPU";
    const MatmulChoice old{9, 9, 9};
    share(ranks, {{product(1), old}});
    EXPECT_EQ(ranks[0].shared.choices, (MatmulChoices{{product(1), old}}));
    EXPECT_EQ(ranks[1].shared.choices, (MatmulChoices{{product(1), timed_by(1, 1)}}));
    EXPECT_EQ(ranks[2].shared.choices, ranks[1].shared.choices);
    EXPECT_TRUE(ranks[2].timed.empty());
}

TEST(SharedChoices, that_one_rank_cannot_make_end_all_ranks) {
    std::vector<std::string> errors(3);
    run_as_threads(3, [&](Communicator& world) {
        try {
            share_choices(world, {product(world.rank())}, "GPU", {}, [&](std::span<const MatmulKey> products) {
                if (world.rank() == 1) fail(ExitCode::environment, "GPU memory is short");
                return std::vector<MatmulChoice>(products.size());
            });
        } catch (const Error& error) {
            errors[std::size_t(world.rank())] = error.what();
        }
    });
    for (const std::string& error : errors) EXPECT_NE(error.find("GPU memory is short"), std::string::npos) << error;
}

}  // namespace
}  // namespace gpas
