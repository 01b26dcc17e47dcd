// NCCL's start, collectives and end on a real GPU, as far as one GPU goes: a group of one rank.
#include "kernels/cuda/gpu.hpp"
#include "kernels/ops.hpp"
#include "parallel/nccl/nccl_ability.hpp"
#include "parallel/nccl/nccl_communicator.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gpas {
namespace {

template <class T>
std::vector<T> values_of(Context& context, const Tensor& tensor) {
    std::vector<T> values(static_cast<std::size_t>(tensor.elements()));
    copy(context, Tensor(values.data(), tensor.dtype, {tensor.elements()}), tensor);
    return values;
}

TEST(Nccl, of_one_rank_leaves_values_as_they_are) {
    cuda::choose_device(0);
    Context context(1, Arena(1 << 20, Device::cuda));
    Arena arena(1 << 20, Device::cuda);
    const auto group = make_nccl_communicator(make_self_communicator(), context, NcclUse::collectives, "alone");
    for (const Dtype dtype : {Dtype::fp32, Dtype::bf16}) {
        const Tensor x = arena.allocate(dtype, {1003}), y = arena.allocate(dtype, {1003});
        fill(context, x, 0.75F);
        group->all_reduce(x, ReduceOp::sum, "x");
        group->all_gather(y, x, "y");
        scale(context, y, 2.0F);
        const auto transfer = group->start_reduce_scatter(x, y, "x");
        transfer->wait();  // the compute stream waits, not the host
        scale(context, x, 2.0F);
        const Tensor result = arena.allocate(Dtype::fp32, {1003});
        cast(context, result, x);
        for (const float value : values_of<float>(context, result)) ASSERT_EQ(value, 3.0F);
    }
    double host = 3.0;
    group->all_reduce(&host, 1, ReduceOp::sum, "host");
    EXPECT_EQ(host, 3.0);
}

TEST(Nccl, a_group_says_what_it_cannot_carry) {
    cuda::choose_device(0);
    Context context(1, Arena(1 << 20, Device::cuda));
    Arena arena(1 << 20, Device::cuda);
    const auto group = make_nccl_communicator(make_self_communicator(), context, NcclUse::collectives, "alone");
    const Tensor x = arena.allocate(Dtype::fp32, {8}), y = arena.allocate(Dtype::fp32, {7});
    EXPECT_ANY_THROW(group->all_gather(y, x, "y"));
    EXPECT_ANY_THROW(group->start_send(x, 0, "x"));
}

TEST(Nccl, can_serve_one_rank) {
    cuda::choose_device(0);
    const NcclAbility ability =
        nccl_ability(*make_self_communicator(), {host_identity(), parse_bus_id(cuda::pci_bus_id(0))}, false);
    EXPECT_TRUE(ability.serves) << ability.note;
}

}  // namespace
}  // namespace gpas
