// In which order a context and what uses its GPU are destroyed does not matter. Compiled with AddressSanitizer, over
// the emulated GPU and NCCL.
#include "parallel/nccl/nccl_communicator.hpp"
#include "parallel/staged_communicator.hpp"
#include "tests/support/thread_communicator.hpp"
#include "tests/virtual_gpu/settings.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <functional>
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

// Runs body(world) on ranks that are threads, each with its own GPU. Ends the test program if they do not end.
void run_with_gpus(int ranks, const std::function<void(Communicator& world)>& body) {
    auto ends = std::make_shared<std::promise<void>>();
    std::thread([ends, ranks, body] {
        run_as_threads(ranks, [&body](Communicator& world) {
            cudaSetDevice(world.rank());
            body(world);
        });
        ends->set_value();
    }).detach();
    if (ends->get_future().wait_for(std::chrono::seconds(30)) == std::future_status::ready) return;
    std::fprintf(stderr, "the ranks have not ended within 30 s\n");
    std::_Exit(1);  // no thread can be joined
}

// ncclCommDestroy waits for the other rank of a pair. Each rank of the ring shares one pair with the rank before it and
// one with the rank after it. If each rank destroyed one pair before it looked at the other, all would wait in a ring.
TEST(NcclLifetime, ranks_in_a_ring_do_not_wait_for_each_other_at_their_end) {
    run_with_gpus(3, [](Communicator& world) {
        const auto context = gpu_context();
        const auto group = make_nccl_communicator(world.duplicate(), *context, NcclUse::messages_to_next, "pipeline");
    });
}

// NCCL's kernels hold multiprocessors until all ranks have come. Two groups whose calls reach two GPUs in another order
// both find room, also on a GPU that is too small for two of NCCL's own choice.
TEST(NcclRoom, suffices_for_the_calls_of_two_groups_in_either_order) {
    virtual_gpu::forget_devices();
    virtual_gpu::use({.scheduler = virtual_gpu::Scheduler::earliest, .queues = 32, .multiprocessors = 24});
    run_with_gpus(2, [](Communicator& world) {
        Arena arena(room, Device::cuda);
        const auto context = gpu_context();
        const auto data = make_nccl_communicator(world.duplicate(), *context, NcclUse::collectives, "data");
        const auto tensor = make_nccl_communicator(world.duplicate(), *context, NcclUse::collectives, "tensor");
        const Tensor first = arena.allocate(Dtype::fp32, {100}), second = arena.allocate(Dtype::fp32, {100});
        cudaMemset(first.data, 0, 400);
        cudaMemset(second.data, 0, 400);
        cudaDeviceSynchronize();
        for (Communicator* group : {data.get(), tensor.get()}) group->all_reduce(first, ReduceOp::sum, "connect");
        context->synchronize();
        const bool data_first = world.rank() == 0;
        const auto one = (data_first ? data : tensor)->start_all_reduce(first, ReduceOp::sum, "one");
        std::this_thread::sleep_for(std::chrono::milliseconds(300));  // it holds its multiprocessors by now
        const auto other = (data_first ? tensor : data)->start_all_reduce(second, ReduceOp::sum, "other");
        one->wait();
        other->wait();
        context->synchronize();
    });
    virtual_gpu::forget_devices();
    virtual_gpu::use({});
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
