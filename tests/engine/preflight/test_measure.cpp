// Run under mpirun on 4 ranks, for the CPU and for the emulated GPU: what preflight measures is there, and the same on
// every rank. How much it is says nothing here.
#include "engine/preflight/clocks.hpp"
#include "engine/preflight/files.hpp"
#include "engine/preflight/gather.hpp"
#include "engine/preflight/speed.hpp"
#include "engine/run/device.hpp"
#include "kernels/cuda/gpu.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/test_device.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>

namespace gpas::preflight {
namespace {

using test_support::test_device;

class Measure : public testing::Test {
protected:
    Measure() : world_(MpiCommunicator(MPI_COMM_WORLD).duplicate()) {
        if (test_device == Device::cuda) cuda::choose_device(0);
    }
    ~Measure() override { world_->barrier("the end of a test"); }

    std::unique_ptr<Communicator> world_;
};

TEST_F(Measure, texts_of_any_length_are_gathered) {
    const std::size_t rank = std::size_t(world_->rank());
    const std::vector<std::string> texts = gather(*world_, std::string(rank * 5, char('a' + rank)), "texts");
    ASSERT_EQ(texts.size(), std::size_t(world_->size()));
    for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], std::string(i * 5, char('a' + i)));
    const auto several = gather(*world_, std::vector<std::string>{"", "x\ny", std::to_string(rank)}, "texts");
    ASSERT_EQ(several.size(), 3U);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(several[0][i], "");
        EXPECT_EQ(several[1][i], "x y");
        EXPECT_EQ(several[2][i], std::to_string(i));
    }
    EXPECT_EQ(gather(*world_, double(rank) + 0.5, "numbers").back(), double(world_->size()) - 0.5);
}

TEST_F(Measure, ranks_of_one_machine_have_one_clock) {
    const Clocks clocks = measure_clocks(*world_);
    for (std::size_t rank = 0; rank < clocks.offsets.size(); ++rank) {
        EXPECT_LE(std::abs(clocks.offsets[rank]), clocks.bounds[rank]);
        EXPECT_EQ(clocks.bounds[rank] > 0.0, rank > 0);
    }
}

TEST_F(Measure, every_link_has_numbers_on_every_rank) {
    const std::vector<MeasuredLink> links = measure_links(*world_, tournament(world_->size()), 1 << 16);
    EXPECT_EQ(links.size(), std::size_t(world_->size() * (world_->size() - 1) / 2));
    for (const MeasuredLink& link : links) {
        EXPECT_GT(link.seconds, 0.0);
        EXPECT_GT(link.bytes_per_second, 0.0);
        EXPECT_EQ(vote(gather(*world_, std::to_string(link.bytes_per_second), "a rate")).size(), 1U);
    }
    for (const MeasuredLink& link : measure_links(*world_, tournament(world_->size()), 0)) EXPECT_GT(link.seconds, 0.0);
}

TEST_F(Measure, groups_stages_and_products_on_the_device) {
    const bool four = world_->size() == 4;
    Mesh mesh = make_mesh(world_->duplicate(),
                          {.tensor = four ? 2 : 1, .data = four ? 1 : world_->size(), .pipeline = four ? 2 : 1});
    Context context(1, Arena(0, test_device));
    serve_device(mesh, context, ShareGpu::staged);
    EXPECT_GT(all_reduce_seconds(*mesh.tensor, context, 1 << 12), 0.0);
    EXPECT_GT(neighbour_seconds(*mesh.pipeline_forward, context, 1 << 12), 0.0);
    EXPECT_GT(product_rate(*world_, context, {.rows = 8, .out = 24, .in = 16}, 0.01), 0.0);
}

TEST_F(Measure, the_line_on_groups_says_if_mpi_takes_memory_of_the_gpu) {
    for (const bool direct : {false, true}) {
        Mesh mesh = make_mesh(world_->duplicate(), {.pipeline = world_->size()});
        Context context(1, Arena(0, test_device));
        const std::string line =
            serve_device(mesh, context, ShareGpu::staged, false, direct ? GpuMessages::direct : GpuMessages::copied);
        const bool on_gpu = test_device == Device::cuda && world_->size() > 1;
        EXPECT_EQ(line.find("it takes such memory") != std::string::npos, on_gpu && direct) << line;
    }
}

TEST_F(Measure, a_directory_is_tried_and_left_as_it_was) {
    std::optional<test_support::ScratchDirectory> scratch;
    std::string path;
    if (world_->rank() == 0) path = scratch.emplace() / "deep/run";
    broadcast(*world_, path, 0, "the directory");
    const DirectoryFacts facts = try_directory(*world_, path, 5.0);
    for (std::size_t rank = 0; rank < facts.shared.size(); ++rank) {
        EXPECT_EQ(facts.shared[rank], "");
        EXPECT_EQ(facts.written[rank], "");
    }
    EXPECT_GT(facts.sync_seconds, 0.0);
    world_->barrier("the end of a trial");
    EXPECT_TRUE(!scratch || std::filesystem::is_empty(scratch->get()));
}

}  // namespace
}  // namespace gpas::preflight
