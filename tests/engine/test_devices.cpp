// What the plan and MFU know of GPUs by name, and the GPU memory that a run takes in addition to its arenas.
#include "base/error.hpp"
#include "engine/plan/device_table.hpp"
#include "engine/plan/gpu_memory.hpp"
#include "tests/support/models.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

std::string_view name_of(std::string_view device) {
    const DeviceFigures* figures = figures_of(device);
    return figures == nullptr ? "" : figures->name;
}

TEST(DeviceTable, knows_devices_by_the_words_of_their_drivers_names) {
    EXPECT_EQ(name_of("NVIDIA A100-SXM4-80GB"), "a100");
    EXPECT_EQ(name_of("NVIDIA A100 80GB PCIe"), "a100");
    EXPECT_EQ(name_of("NVIDIA A100-PCIE-40GB"), "a100-40");
    EXPECT_EQ(name_of("NVIDIA H100 80GB HBM3"), "h100");
    EXPECT_EQ(name_of("NVIDIA H100 PCIe"), "h100-pcie");
    EXPECT_EQ(name_of("NVIDIA H100 NVL"), "h100-nvl");
    EXPECT_EQ(name_of("NVIDIA H200"), "h200");
    EXPECT_EQ(name_of("NVIDIA H200 NVL"), "h200-nvl");
    EXPECT_EQ(name_of("NVIDIA GH200 480GB"), "gh200");
    EXPECT_EQ(name_of("NVIDIA GH200 144G HBM3e"), "gh200-144");
    EXPECT_EQ(name_of("NVIDIA B200"), "b200");
    EXPECT_EQ(name_of("NVIDIA GB200"), "gb200");
    EXPECT_EQ(name_of("NVIDIA B300 SXM6 AC"), "b300");
    EXPECT_EQ(name_of("NVIDIA GB300"), "gb300");
    EXPECT_EQ(name_of("NVIDIA L40S"), "l40s");
    EXPECT_EQ(name_of("NVIDIA GeForce RTX 4090"), "rtx4090");
    EXPECT_EQ(name_of("NVIDIA GeForce RTX 5090"), "rtx5090");
    EXPECT_EQ(name_of("NVIDIA RTX PRO 6000 Blackwell Workstation Edition"), "rtxpro6000");
    EXPECT_EQ(name_of("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"), "rtxpro6000-max-q");
    EXPECT_EQ(name_of("NVIDIA RTX PRO 6000 Blackwell Server Edition"), "rtxpro6000-server");
}

TEST(DeviceTable, does_not_take_one_device_for_another) {
    for (const char* unknown : {"NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 5090 D", "NVIDIA L40",
                                "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA RTX 6000 Ada Generation", "NVIDIA H800"})
        EXPECT_EQ(name_of(unknown), "") << unknown;
}

TEST(DeviceTable, names_are_found_again_and_have_figures) {
    for (const DeviceFigures& figures : device_table()) {
        EXPECT_EQ(figures_named(figures.name), &figures);
        EXPECT_GT(figures.bf16_tflops, figures.fp32_tflops);
        EXPECT_FALSE(figures.source.empty());
    }
    EXPECT_EQ(figures_named("h100pcie"), nullptr);
    EXPECT_EQ(figures_named("h100-pcie")->bf16_tflops, 756);  // not the 989 of the SXM module
}

constexpr std::int64_t mebibyte = std::int64_t(1) << 20;

TEST(GpuOverhead, counts_the_communicators_that_a_rank_has) {
    EXPECT_EQ(gpu_overhead({}, 8, false).communicators, 0);
    EXPECT_EQ(gpu_overhead({}, 8, false).nccl_bytes, 0);
    EXPECT_EQ(gpu_overhead({.tensor = 2, .data = 2, .pipeline = 2}, 8, true).communicators, 8);
    EXPECT_EQ(gpu_overhead({.pipeline = 4}, 8, false).communicators, 5);
    EXPECT_EQ(gpu_overhead({.tensor = 2, .data = 4}, 8, false).communicators, 3);  // and one of all ranks
    EXPECT_EQ(gpu_overhead({.tensor = 8}, 8, false).communicators, 1);
    EXPECT_EQ(gpu_overhead({.data = 8}, 8, false).communicators, 1);
}

TEST(GpuOverhead, bounds_what_others_have_measured) {
    // Four A100s without NVLink SHARP, with 24 channels: 544 MiB of a group of two, 688 MiB of a larger one (NCCL issue
    // 964). Here a communicator has at most 16.
    const std::int64_t of_two = gpu_overhead({.data = 2}, 8, false).nccl_bytes;
    EXPECT_GE(of_two, 544 * mebibyte * 16 / 24);
    EXPECT_LE(of_two, 600 * mebibyte * 16 / 24);
    EXPECT_GE(gpu_overhead({.data = 4}, 8, false).nccl_bytes, 688 * mebibyte * 16 / 24);
    // docs/results/gpu.md: 0.6 GiB in addition to the arenas of one rank.
    EXPECT_GE(gpu_overhead({}, 8, false).total_bytes(), std::int64_t(0.6 * 1024.0) * mebibyte);
    EXPECT_LE(gpu_overhead({}, 8, false).total_bytes(), 1024 * mebibyte);
}

TEST(GpuOverhead, grows_with_the_ranks_of_a_node_and_between_nodes) {
    const auto nccl = [](int data, int per_node) { return gpu_overhead({.data = data}, per_node, false).nccl_bytes; };
    EXPECT_LT(nccl(4, 8), nccl(8, 8));
    EXPECT_LT(nccl(8, 8), nccl(16, 8));
    EXPECT_EQ(nccl(16, 8), nccl(512, 8));
}

TEST(GpuMemory, refuses_in_one_line_what_does_not_fit_beside_what_others_hold) {
    const LoadedConfig config = load_config_text("name: memory\n", "memory", {"data.train=none"});
    const std::int64_t arenas = 1000 * mebibyte;
    const std::int64_t beside = gpu_overhead({.data = 2}, 2, false).to_allocate_bytes();
    const auto check = [&](std::int64_t free_bytes, int sharing) {
        check_free_gpu_memory(
            config, {.data = 2}, arenas,
            {.free_bytes = free_bytes, .device_bytes = 40000 * mebibyte, .gpus_of_node = 2, .ranks_of_gpu = sharing});
    };
    EXPECT_NO_THROW(check(arenas + beside, 1));
    try {
        check(arenas + beside - mebibyte, 1);
        FAIL() << "not refused";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::usage);
        const std::string text = error.what();
        EXPECT_EQ(text.find('\n'), std::string::npos) << text;
        EXPECT_NE(text.find("1000 MiB of memory of the GPU"), std::string::npos) << text;
        EXPECT_NE(text.find("1 NCCL communicator, "), std::string::npos) << text;
        EXPECT_NE(text.find("are free"), std::string::npos) << text;
    }
    // Two ranks on one GPU need twice the arenas, but no NCCL.
    const std::int64_t alone = gpu_overhead({}, 1, false).to_allocate_bytes();
    EXPECT_NO_THROW(check(2 * (arenas + alone), 2));
    EXPECT_THROW(check(2 * (arenas + alone) - 1, 2), Error);
}

}  // namespace
}  // namespace gpas
