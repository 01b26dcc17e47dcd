// Whether NCCL carries a job, by its version and by who shares a GPU; over an NCCL that has nothing but a version.
#include "base/error.hpp"
#include "parallel/nccl/nccl_ability.hpp"
#include "parallel/nccl/nccl_library.hpp"
#include "tests/support/thread_communicator.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace gpas {
namespace {

thread_local int version_here = 0;  // of NCCL on this rank

}  // namespace

Nccl load_nccl() {
    Nccl table{};
    table.ncclGetVersion = [](int* version) {
        *version = version_here;
        return ncclSuccess;
    };
    return table;
}

namespace {

struct Case {
    std::vector<GpuAddress> gpus;  // of the ranks
    bool share = false;
    std::vector<int> versions = {};  // of the ranks; none: 2.32.3
};

// What every rank is told: the note of its ability, or the error.
std::vector<std::string> answers(const Case& job) {
    for (const char* name : {"NCCL_MULTI_RANK_GPU_ENABLE", "NCCL_NVLS_ENABLE", "NCCL_MAX_CTAS"}) unsetenv(name);
    std::vector<std::string> told(job.gpus.size());
    run_as_threads(int(job.gpus.size()), [&](Communicator& world) {
        const auto rank = std::size_t(world.rank());
        version_here = job.versions.empty() ? 23203 : job.versions[rank];
        try {
            const NcclAbility ability = nccl_ability(world, job.gpus[rank], job.share);
            told[rank] = (ability.serves ? "yes: " : "no: ") + ability.note;
        } catch (const Error& error) {
            told[rank] = error.what();
        }
    });
    for (const std::string& text : told) EXPECT_EQ(text, told.front());
    return told;
}

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "unset" : value;
}

constexpr std::int64_t bus = 0x1b00;  // 0000:1b:00.0

TEST(NcclAbility, is_there_with_its_version_if_each_rank_has_a_gpu) {
    EXPECT_EQ(answers({.gpus = {{1, bus}, {1, bus + 8}, {2, bus}}, .versions = {22809, 22809, 22809}}).front(),
              "yes: NCCL 2.28.9");
    EXPECT_EQ(variable("NCCL_MULTI_RANK_GPU_ENABLE"), "unset");
}

TEST(NcclAbility, is_not_there_for_ranks_that_share_a_gpu_nor_for_slices_of_one) {
    EXPECT_EQ(answers({.gpus = {{1, bus}, {1, bus + 8}, {1, bus}}}).front(),
              "no: ranks 0 and 2 share GPU 0000:1b:00.0, which NCCL refuses unless parallel.share_gpu is nccl");
}

TEST(NcclAbility, is_there_for_ranks_that_share_a_gpu_if_they_may_and_nccl_can) {
    EXPECT_EQ(answers({.gpus = {{1, bus}, {1, bus}}, .share = true}).front(),
              "yes: NCCL 2.32.3, with several ranks per GPU");
    EXPECT_EQ(variable("NCCL_MULTI_RANK_GPU_ENABLE"), "1");
    EXPECT_EQ(variable("NCCL_NVLS_ENABLE"), "0");
    EXPECT_EQ(variable("NCCL_MAX_CTAS"), "2");
    // A rank that shares its GPU with no other rank is accepted.
    EXPECT_EQ(answers({.gpus = {{1, bus}, {2, bus}}, .share = true, .versions = {22809, 22809}}).front(),
              "yes: NCCL 2.28.9");
    EXPECT_EQ(variable("NCCL_MULTI_RANK_GPU_ENABLE"), "unset");
}

TEST(NcclAbility, is_refused_by_the_rank_whose_nccl_is_too_old) {
    const std::string told =
        answers({.gpus = {{1, bus}, {1, bus}, {2, bus}}, .share = true, .versions = {23000, 23203, 22907}}).front();
    EXPECT_NE(told.find("parallel.share_gpu"), std::string::npos) << told;
    EXPECT_NE(told.find("rank 2 has 2.29.7"), std::string::npos) << told;
    EXPECT_EQ(answers({.gpus = {{1, bus}, {1, bus}}, .share = true, .versions = {23000, 23000}}).front(),
              "yes: NCCL 2.30.0, with several ranks per GPU");
}

TEST(GpuAddress, is_read_and_written) {
    EXPECT_EQ(bus_id_text(parse_bus_id("0000:1b:00.0")), "0000:1b:00.0");
    EXPECT_EQ(bus_id_text(parse_bus_id("00010002:FF:1F.7")), "10002:ff:1f.7");
    EXPECT_EQ(parse_bus_id("0000:1b:00.0"), bus);
    EXPECT_ANY_THROW(parse_bus_id("GPU 0"));
    EXPECT_EQ(host_identity(), host_identity());
    const std::int64_t here = host_identity();
    setenv("NCCL_HOSTID", "another", 1);
    EXPECT_NE(host_identity(), here);
    unsetenv("NCCL_HOSTID");
}

}  // namespace
}  // namespace gpas
