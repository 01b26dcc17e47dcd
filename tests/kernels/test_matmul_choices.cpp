// The file in which a run keeps its choice of algorithms for matrix products.
#include "kernels/cuda/matmul_choices.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace gpas::cuda {
namespace {

const MatmulKey one{{4096, 2048, 5464, 2048}, {1, 0, 1, 0, 1}, {256, 256, 16}};
const MatmulKey other{{4096, 2048, 5464, 2048}, {1, 0, 1, 0, 0}, {256, 256, 16}};
const MatmulChoice choice{1, 2, 3, 4, 5, 6, 7, ~std::uint64_t(0)};

TEST(MatmulChoices, are_found_again_by_the_next_run) {
    const test_support::ScratchDirectory directory;
    const std::string file = directory / "rank_0.txt";
    MatmulChoices first(file, "GPU A, library 1");
    EXPECT_FALSE(first.find(one));
    first.add(one, choice);
    EXPECT_EQ(first.find(one), choice);
    MatmulChoices second(file, "GPU A, library 1");
    EXPECT_EQ(second.find(one), choice);
    EXPECT_FALSE(second.find(other));
    second.add(other, choice);
    EXPECT_EQ(MatmulChoices(file, "GPU A, library 1").find(one), choice);
    EXPECT_EQ(MatmulChoices(file, "GPU A, library 1").find(other), choice);
}

TEST(MatmulChoices, of_another_machine_or_half_written_are_begun_anew) {
    const test_support::ScratchDirectory directory;
    const std::string file = directory / "rank_0.txt";
    MatmulChoices(file, "GPU A, library 1").add(one, choice);
    MatmulChoices elsewhere(file, "GPU B, library 1");
    EXPECT_FALSE(elsewhere.find(one));
    elsewhere.add(other, choice);
    EXPECT_FALSE(MatmulChoices(file, "GPU A, library 1").find(one));
    EXPECT_EQ(MatmulChoices(file, "GPU B, library 1").find(other), choice);

    std::filesystem::resize_file(file, std::filesystem::file_size(file) - 3);
    MatmulChoices cut(file, "GPU B, library 1");
    EXPECT_FALSE(cut.find(other));
    cut.add(one, choice);
    EXPECT_EQ(MatmulChoices(file, "GPU B, library 1").find(one), choice);
}

TEST(MatmulChoices, without_a_file_are_forgotten) {
    MatmulChoices choices("", "GPU A, library 1");
    choices.add(one, choice);
    EXPECT_EQ(choices.find(one), choice);
    EXPECT_FALSE(MatmulChoices("", "GPU A, library 1").find(one));
}

}  // namespace
}  // namespace gpas::cuda
