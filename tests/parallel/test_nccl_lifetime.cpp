// In which order a context and what uses its GPU are destroyed does not matter. Compiled with AddressSanitizer, over
// the emulated GPU and NCCL.
#include "parallel/nccl_communicator.hpp"
#include "parallel/staged_communicator.hpp"

#include <gtest/gtest.h>

namespace gpas {
namespace {

constexpr std::int64_t room = 1 << 16;

std::unique_ptr<Context> gpu_context() { return std::make_unique<Context>(1, Arena(room, Device::cuda)); }

TEST(NcclLifetime, a_communicator_outlives_the_context) {
    auto context = gpu_context();
    const auto group = make_nccl_communicator(make_self_communicator(), *context, NcclUse::collectives, "data");
    context.reset();
}

TEST(NcclLifetime, a_context_outlives_the_communicator) {
    const auto context = gpu_context();
    auto group = make_nccl_communicator(make_self_communicator(), *context, NcclUse::collectives, "data");
    group.reset();
    context->synchronize();  // asks the watchers that are left
}

// As in every owner that makes its mesh first: members are destroyed in reverse.
TEST(NcclLifetime, an_owner_may_declare_its_groups_before_the_context) {
    struct Owner {
        std::unique_ptr<Communicator> data = make_self_communicator();
        std::unique_ptr<Communicator> tensor = make_self_communicator();
        std::unique_ptr<Context> context = gpu_context();
        Owner() {
            data = make_nccl_communicator(std::move(data), *context, NcclUse::collectives, "data");
            tensor = make_nccl_communicator(std::move(tensor), *context, NcclUse::collectives, "tensor");
        }
    };
    const Owner owner;
}

TEST(NcclLifetime, a_transfer_outlives_communicator_and_context) {
    Arena arena(room, Device::cuda);
    auto context = gpu_context();
    auto group = make_nccl_communicator(make_self_communicator(), *context, NcclUse::collectives, "data");
    const auto transfer = group->start_all_reduce(arena.allocate(Dtype::fp32, {100}), ReduceOp::sum, "x");
    context.reset();
    group.reset();
    transfer->wait();
}

TEST(StagedLifetime, a_communicator_and_its_transfer_outlive_the_context) {
    Arena arena(room, Device::cuda);
    auto context = gpu_context();
    const auto group = make_staged_communicator(make_self_communicator(), *context);
    const auto transfer = group->start_all_reduce(arena.allocate(Dtype::fp32, {100}), ReduceOp::sum, "x");
    context.reset();
    transfer->wait();
    group->all_reduce(arena.allocate(Dtype::fp32, {100}), ReduceOp::sum, "y");
}

}  // namespace
}  // namespace gpas

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
