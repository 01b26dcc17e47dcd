// The evaluation of the paper's code, compared with the losses of single samples.
#include "base/error.hpp"
#include "engine/run/paper_evaluation.hpp"
#include "engine/step/replica.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

using namespace tiny_run;

class PaperCode : public testing::Test {
protected:
    PaperCode()
        : config_(
              (write_tokens(directory_ / "tokens"),
               tiny_config(directory_ / "tokens", "unused", {"data.mask_documents=false", "data.mode=padded"}).values)),
          data_(open_data(config_.data, {.seed = config_.seed, .vocab_size = config_.model.vocab_size})),
          mesh_(make_self_mesh()),
          replica_(replica_shape(config_, mesh_.size, mesh_.place, 1, false), *mesh_.tensor, *mesh_.data) {
        initialise(replica_.context, replica_.store, config_.seed, *mesh_.data);
    }
    PaperEvaluation evaluate(const PaperLayout& layout) {
        return evaluate_as_paper(replica_, mesh_, pipeline_shape(config_, mesh_.size), *data_.valid, false, layout);
    }
    // {sum of losses, loss tokens} of one sample: the others of its micro-batch have no labels.
    std::pair<double, std::int64_t> sample(std::int64_t i) {
        std::vector<Batch> batches(1);
        data_.valid->fill(batches[0], 0, 4);
        std::fill(batches[0].labels.begin(), batches[0].labels.end(), -1);
        Batch one;
        data_.valid->fill(one, i, 1);
        for (std::size_t t = 0; t < std::size_t(one.sequence_length); ++t) {
            batches[0].tokens[t * 4] = one.tokens[t];
            batches[0].labels[t * 4] = one.labels[t];
        }
        batches[0].loss_tokens = one.loss_tokens;
        Pipeline pipeline(replica_, mesh_, pipeline_shape(config_, mesh_.size));
        return {pipeline.evaluate({.batches = batches}), one.loss_tokens};
    }
    double batch_mean(const std::vector<std::int64_t>& samples) {
        double loss = 0.0;
        std::int64_t tokens = 0;
        for (const std::int64_t i : samples) {
            const auto [sum, count] = sample(i);
            loss += sum;
            tokens += count;
        }
        return loss / double(tokens);
    }
    Directory directory_;
    RunConfig config_;
    RunData data_;
    Mesh mesh_;
    Replica replica_;
};

TEST_F(PaperCode, divides_the_sum_of_batch_means_by_one_batch_too_many) {
    ASSERT_EQ(data_.valid->samples(), 9);
    const double bound = 64 * 0x1p-24 * 10.0;  // sums of fp32 losses near 4, 16 tokens a sample
    EXPECT_NEAR(evaluate({.batch = 9}).loss, batch_mean({0, 1, 2, 3, 4, 5, 6, 7, 8}) / 2.0, bound);
    const PaperEvaluation two = evaluate({.batch = 2});  // the ninth sample fills no batch
    EXPECT_EQ(two.batches, (std::vector<std::int64_t>{4}));
    EXPECT_NEAR(two.loss, (batch_mean({0, 1}) + batch_mean({2, 3}) + batch_mean({4, 5}) + batch_mean({6, 7})) / 5.0,
                bound);
    const PaperEvaluation gpus = evaluate({.batch = 2, .gpus = 2});
    EXPECT_EQ(gpus.batches, (std::vector<std::int64_t>{2, 2}));
    const double first = (batch_mean({0, 2}) + batch_mean({4, 6})) / 3.0;
    const double second = (batch_mean({1, 3}) + batch_mean({5, 7})) / 3.0;
    EXPECT_NEAR(gpus.loss, (first + second) / 2.0, bound);
    EXPECT_NE(batch_mean({0, 2}), batch_mean({0, 1}));
}

TEST_F(PaperCode, refuses_batches_that_no_gpu_can_fill) {
    for (const PaperLayout layout : {PaperLayout{10, 1}, PaperLayout{5, 2}, PaperLayout{1, 10}})
        EXPECT_THROW(evaluate(layout), Error) << layout.batch << " x " << layout.gpus;
}

TEST(PaperLayout, is_read_strictly) {
    EXPECT_EQ(parse_paper_layout("256x1").batch, 256);
    EXPECT_EQ(parse_paper_layout("32x4").gpus, 4);
    EXPECT_EQ(parse_paper_layout("8").gpus, 1);
    for (const char* text : {"", "x", "0x1", "4x0", "4x", "x4", "4 x 2", "4x2x1", "-4x1", "4.5x1", "4x2 ", "1e3x1",
                             "9999999999999999999x1"})
        EXPECT_THROW(parse_paper_layout(text), Error) << text;
}

}  // namespace
}  // namespace gpas
