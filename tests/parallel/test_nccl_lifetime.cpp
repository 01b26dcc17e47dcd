// In which order a context and what uses its GPU are destroyed does not matter. Compiled with AddressSanitizer, over
// the emulated GPU and NCCL.
#include "parallel/nccl_communicator.hpp"
#include "parallel/staged_communicator.hpp"
#include "parallel/thread_communicator.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <future>

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

// ncclCommDestroy waits for the other rank of a pair. Each rank of the ring shares one pair with the rank before it and
// one with the rank after it. If each rank destroyed one pair before it looked at the other, all would wait in a ring.
TEST(NcclLifetime, ranks_in_a_ring_do_not_wait_for_each_other_at_their_end) {
    constexpr int ranks = 3;
    auto ends = std::make_shared<std::promise<void>>();
    std::thread([ends] {
        run_as_threads(ranks, [](Communicator& world) {
            cudaSetDevice(world.rank());
            const auto context = gpu_context();
            const auto group =
                make_nccl_communicator(world.duplicate(), *context, NcclUse::messages_to_next, "pipeline");
        });
        ends->set_value();
    }).detach();
    if (ends->get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready) return;
    std::fprintf(stderr, "the ranks have not ended within 30 s\n");
    std::_Exit(1);  // no thread can be joined
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
