// The file in which a run keeps its choice of algorithms for matrix products, and how the fastest is found.
#include "kernels/cuda/fastest.hpp"
#include "kernels/cuda/matmul_choices.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace gpas::cuda {
namespace {

const MatmulKey one{{4096, 2048, 5464, 2048}, {1, 0, 1, 0, 1}, {64, 64, 16}};
const MatmulKey other{{4096, 2048, 5464, 2048}, {1, 0, 1, 0, 0}, {64, 64, 16}};
const MatmulChoice choice{1, 2, 3, 4, 5, 6, 7, ~std::uint64_t(0)};

void write(const std::string& file, const std::string& text) { std::ofstream(file) << text; }

TEST(MatmulChoices, are_read_as_they_were_written) {
    const test_support::ScratchDirectory directory;
    const std::string file = directory / "choices.txt";
    const MatmulChoices choices{{one, choice}, {other, MatmulChoice{}}};
    write(file, text_of(choices, "GPU A, library 1"));
    EXPECT_EQ(read_matmul_choices(file, "GPU A, library 1"), choices);
    EXPECT_EQ(read_matmul_choices(directory / "another.txt", "GPU A, library 1"), MatmulChoices{});
}

TEST(MatmulChoices, of_another_machine_or_cut_anywhere_are_none) {
    const test_support::ScratchDirectory directory;
    const std::string file = directory / "choices.txt";
    const std::string text = text_of({{one, choice}, {other, choice}}, "GPU A, library 1");
    write(file, text);
    EXPECT_EQ(read_matmul_choices(file, "GPU B, library 1"), MatmulChoices{});
    for (std::size_t size = 0; size + 1 < text.size(); ++size) {  // the last character is the end of a line
        write(file, text.substr(0, size));
        EXPECT_EQ(read_matmul_choices(file, "GPU A, library 1"), MatmulChoices{}) << size << " bytes";
    }
}

TEST(MatmulKey, is_the_same_for_a_planned_tensor_as_for_one_of_an_arena) {
    alignas(256) static std::byte memory[1024];
    const auto at = [&](std::int64_t offset, Dtype dtype, std::int64_t rows, std::int64_t columns) {
        return Tensor(memory + offset, dtype, {rows, columns});
    };
    const auto planned = [](Dtype dtype, std::int64_t rows, std::int64_t columns) {
        return Tensor(nullptr, dtype, {rows, columns});
    };
    const MatmulKey key =
        key_of_matmul(planned(Dtype::fp32, 3, 5), planned(Dtype::bf16, 3, 4), planned(Dtype::bf16, 5, 4));
    for (const std::int64_t offset : {0, 64, 128, 192})
        EXPECT_EQ(key_of_matmul(at(offset, Dtype::fp32, 3, 5), at(offset, Dtype::bf16, 3, 4), at(0, Dtype::bf16, 5, 4)),
                  key);
    EXPECT_NE(key_of_matmul(at(32, Dtype::fp32, 3, 5), at(0, Dtype::bf16, 3, 4), at(0, Dtype::bf16, 5, 4)), key);
    // Column-major: 5 rows, 3 columns, a sum of 4 terms.
    EXPECT_EQ(key.rows(), 5);
    EXPECT_EQ(key.columns(), 3);
    EXPECT_EQ(key.depth(), 4);
    const MatmulKey dw =
        key_of_matmul_dw(planned(Dtype::fp32, 5, 4), planned(Dtype::bf16, 3, 5), planned(Dtype::bf16, 3, 4));
    EXPECT_EQ(dw.rows(), 4);
    EXPECT_EQ(dw.columns(), 5);
    EXPECT_EQ(dw.depth(), 3);
    EXPECT_TRUE(dw.accumulates());
    const MatmulKey dx =
        key_of_matmul_dx(planned(Dtype::bf16, 3, 4), planned(Dtype::bf16, 3, 5), planned(Dtype::bf16, 5, 4));
    EXPECT_EQ(dx.rows(), 4);
    EXPECT_EQ(dx.columns(), 3);
    EXPECT_EQ(dx.depth(), 5);
}

// A GPU whose clock falls: a run that comes later takes longer.
class FakeTimer {
public:
    explicit FakeTimer(std::vector<float> times) : times_(std::move(times)) {}
    std::optional<float> operator()(std::size_t candidate) {
        ++runs_;
        ++runs_of_[candidate];
        if (times_[candidate] < 0.0F) return std::nullopt;
        const float disturbed = runs_ == disturbed_run ? 10.0F : 1.0F;
        const float hot = before_ == hot_candidate && candidate != before_ ? 1.1F : 1.0F;
        before_ = candidate;
        return times_[candidate] * (1.0F + slowing * float(runs_)) * disturbed * hot;
    }
    int runs_of(std::size_t candidate) const { return runs_of_.at(candidate); }
    float slowing = 0.0F;
    int disturbed_run = 0;
    std::optional<std::size_t> hot_candidate;  // slows the one that runs after it

private:
    std::vector<float> times_;
    int runs_ = 0;
    std::optional<std::size_t> before_;
    std::map<std::size_t, int> runs_of_;
};

std::optional<std::size_t> fastest(FakeTimer& timer, std::size_t count) {
    return fastest_candidate(count, [&](std::size_t i) { return timer(i); });
}

TEST(FastestCandidate, is_found_while_the_clock_falls) {
    FakeTimer timer({1.06F, 1.02F, 1.04F, 1.0F});
    timer.slowing = 0.01F;  // 40 % from the first counted run to the last: one after the other, the first would win
    EXPECT_EQ(fastest(timer, 4), 3U);
}

TEST(FastestCandidate, is_found_if_one_run_is_disturbed) {
    for (int run = 1; run <= 30; ++run) {
        FakeTimer timer({1.1F, 1.0F, 1.05F});
        timer.disturbed_run = run;
        EXPECT_EQ(fastest(timer, 3), 1U) << "disturbed: run " << run;
    }
}

TEST(FastestCandidate, is_found_if_another_leaves_the_gpu_hot) {
    for (const std::vector<float>& times : {std::vector<float>{1.1F, 1.0F, 1.05F}, {1.05F, 1.0F, 1.1F}}) {
        FakeTimer timer(times);
        timer.hot_candidate = times[0] > times[2] ? 0 : 2;
        EXPECT_EQ(fastest(timer, 3), 1U);
    }
}

TEST(FastestCandidate, of_equal_ones_is_the_first_and_of_none_nothing) {
    FakeTimer equal({1.0F, 1.0F});
    EXPECT_EQ(fastest(equal, 2), 0U);
    FakeTimer refused({-1.0F, 2.0F, -1.0F});
    EXPECT_EQ(fastest(refused, 3), 1U);
    EXPECT_EQ(refused.runs_of(0), 1);
    FakeTimer none({-1.0F});
    EXPECT_EQ(fastest(none, 1), std::nullopt);
    EXPECT_EQ(fastest(none, 0), std::nullopt);
}

TEST(FastestCandidate, is_not_looked_for_among_those_far_behind) {
    FakeTimer timer({3.0F, 1.0F, 1.1F});
    EXPECT_EQ(fastest(timer, 3), 1U);
    EXPECT_EQ(timer.runs_of(0), 5);  // one that is not counted, and four
    EXPECT_EQ(timer.runs_of(1), 9);
    EXPECT_EQ(timer.runs_of(2), 9);
}

}  // namespace
}  // namespace gpas::cuda
