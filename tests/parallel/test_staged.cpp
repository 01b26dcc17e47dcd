// What a staged communicator hands to the group beneath it, on the virtual GPU, which enqueues and whose memory the
// host cannot touch.
#include "kernels/cuda/gpu.hpp"
#include "parallel/staged_communicator.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

namespace gpas {
namespace {

class Over final : public Transfer {
public:
    void wait() override {}
    bool finished() override { return true; }
};

using Seen = std::function<void(const Tensor&)>;

// A group of two that shows the tensors that it is given.
class ShowingGroup final : public Communicator {
public:
    explicit ShowingGroup(Seen seen) : seen_(std::move(seen)) {}
    int rank() const override { return 0; }
    int size() const override { return 2; }
    RankShared& shared() override { return self_->shared(); }
    void all_reduce(Tensor data, ReduceOp, const char*) override { seen_(data); }
    void all_reduce(double*, std::int64_t, ReduceOp, const char*) override {}
    void all_reduce(std::int64_t*, std::int64_t, ReduceOp, const char*) override {}
    void reduce_scatter(Tensor part, Tensor whole, const char*) override { show({part, whole}); }
    void all_gather(Tensor whole, Tensor part, const char*) override { show({whole, part}); }
    void broadcast(void*, std::int64_t, int, const char*) override {}
    void barrier(const char*) override {}
    std::unique_ptr<Transfer> start_send(Tensor data, int, const char*) override { return show({data}); }
    std::unique_ptr<Transfer> start_receive(Tensor data, int, const char*) override { return show({data}); }
    std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp, const char*) override { return show({data}); }
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char*) override {
        return show({part, whole});
    }
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char*) override {
        return show({whole, part});
    }
    std::unique_ptr<Communicator> split(int, int, const char*) override { return duplicate(); }
    std::unique_ptr<Communicator> duplicate() override { return std::make_unique<ShowingGroup>(seen_); }

private:
    std::unique_ptr<Transfer> show(const std::vector<Tensor>& tensors) {
        for (const Tensor& tensor : tensors) seen_(tensor);
        return std::make_unique<Over>();
    }

    Seen seen_;
    std::unique_ptr<Communicator> self_ = make_self_communicator();
};

class StagedMessages : public testing::Test {
protected:
    std::unique_ptr<Communicator> group(GpuMessages messages) {
        auto host = std::make_unique<ShowingGroup>([this](const Tensor& tensor) {
            seen_.push_back(tensor);
            idle_ = idle_ && written_.reached();
        });
        return make_staged_communicator(std::move(host), context_, messages);
    }
    // Work for the compute stream that writes what is sent.
    void enqueue() {
        context_.shared_gpu()->set_bytes(data_.data, 1, data_.bytes());
        written_.set();
    }

    Context context_{1, Arena(1 << 20, Device::cuda)};
    Arena arena_{1 << 20, Device::cuda};
    Tensor data_ = arena_.allocate(Dtype::fp32, {1 << 16});
    cuda::Mark written_{context_.shared_gpu()};
    std::vector<Tensor> seen_;
    bool idle_ = true;  // whenever the group beneath was called
};

TEST_F(StagedMessages, lie_on_the_host_unless_mpi_takes_memory_of_the_gpu) {
    const auto staged = group(GpuMessages::copied);
    staged->start_send(data_, 1, "x")->wait();
    staged->start_receive(data_, 1, "x")->wait();
    ASSERT_EQ(seen_.size(), 2U);
    for (const Tensor& tensor : seen_) EXPECT_EQ(tensor.device, Device::cpu);
}

TEST_F(StagedMessages, are_handed_on_where_they_lie_when_the_compute_stream_is_idle) {
    const auto direct = group(GpuMessages::direct);
    const auto copy = direct->duplicate(), part = direct->split(0, 0, "part");
    for (Communicator* each : {direct.get(), copy.get(), part.get()}) {
        const std::int64_t waits = context_.shared_gpu()->waits();
        enqueue();
        each->start_send(data_, 1, "x")->wait();
        enqueue();
        each->start_receive(data_, 1, "x")->wait();
        EXPECT_EQ(context_.shared_gpu()->waits(), waits + 2);
    }
    ASSERT_EQ(seen_.size(), 6U);
    for (const Tensor& tensor : seen_) {
        EXPECT_EQ(tensor.device, Device::cuda);
        EXPECT_EQ(tensor.data, data_.data);
    }
    EXPECT_TRUE(idle_);
}

TEST_F(StagedMessages, of_collectives_lie_on_the_host_in_any_case) {
    const auto direct = group(GpuMessages::direct);
    const Tensor half = arena_.allocate(Dtype::fp32, {1 << 15});
    direct->all_reduce(data_, ReduceOp::sum, "x");
    direct->reduce_scatter(half, data_, "x");
    direct->all_gather(data_, half, "x");
    ASSERT_EQ(seen_.size(), 5U);
    for (const Tensor& tensor : seen_) EXPECT_EQ(tensor.device, Device::cpu);
}

}  // namespace
}  // namespace gpas
