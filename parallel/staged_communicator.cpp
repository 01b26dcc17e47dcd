#include "parallel/staged_communicator.hpp"

#include "base/error.hpp"
#include "kernels/cuda/gpu.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace gpas {
namespace {

bool on_gpu(const Tensor& tensor) { return tensor.device == Device::cuda; }

class PinnedMemory {
public:
    explicit PinnedMemory(std::int64_t bytes) : memory_(cuda::allocate_pinned(bytes)), bytes_(bytes) {}
    PinnedMemory(PinnedMemory&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
    PinnedMemory& operator=(PinnedMemory&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~PinnedMemory() {
        if (memory_ != nullptr) cuda::release_pinned(memory_);
    }
    void* data() const { return memory_; }
    std::int64_t bytes() const { return bytes_; }

private:
    void* memory_;
    std::int64_t bytes_;
};

// Pinned buffers that are not in use. Steps repeat the same sizes, so only the first step allocates buffers.
class Pool {
public:
    PinnedMemory take(std::int64_t bytes) {
        std::size_t best = free_.size();
        for (std::size_t i = 0; i < free_.size(); ++i)
            if (free_[i].bytes() >= bytes && (best == free_.size() || free_[i].bytes() < free_[best].bytes())) best = i;
        if (best == free_.size()) return PinnedMemory(std::max<std::int64_t>(bytes, 1));
        PinnedMemory memory = std::move(free_[best]);
        free_.erase(free_.begin() + std::ptrdiff_t(best));
        return memory;
    }
    void give_back(PinnedMemory memory) { free_.push_back(std::move(memory)); }

private:
    std::vector<PinnedMemory> free_;
};

// The pinned host copy of a GPU tensor, for one call. fetch(): host copy = GPU tensor. store(): GPU tensor = host copy.
class Staged {
public:
    Staged(std::shared_ptr<Pool> pool, std::shared_ptr<cuda::Gpu> gpu, const Tensor& device)
        : pool_(std::move(pool)), gpu_(std::move(gpu)), device_(device), memory_(pool_->take(device.bytes())) {}
    Staged(Staged&&) = default;
    Staged& operator=(Staged&&) = delete;
    ~Staged() {
        if (pool_) pool_->give_back(std::move(memory_));
    }

    Tensor host() const {
        Tensor tensor = device_;
        tensor.device = Device::cpu;
        tensor.data = memory_.data();
        return tensor;
    }
    void fetch() {
        gpu_->copy_to_pinned(memory_.data(), device_.data, device_.bytes());
        gpu_->synchronize();
    }
    void store() {
        gpu_->copy_from_pinned(device_.data, memory_.data(), device_.bytes());
        gpu_->synchronize();  // the buffer goes back to the pool
    }

private:
    std::shared_ptr<Pool> pool_;
    std::shared_ptr<cuda::Gpu> gpu_;
    Tensor device_;
    PinnedMemory memory_;
};

// The transfer of the host copies. When it has finished, it stores the result in the GPU tensor.
class StagedTransfer final : public Transfer {
public:
    StagedTransfer(std::unique_ptr<Transfer> inner, std::vector<Staged> buffers, bool has_result)
        : buffers_(std::move(buffers)), inner_(std::move(inner)), has_result_(has_result) {}
    ~StagedTransfer() override { inner_.reset(); }  // waits before the buffers are returned to the pool

    void wait() override {
        inner_->wait();
        settle();
    }
    bool finished() override {
        if (!inner_->finished()) return false;
        settle();
        return true;
    }

private:
    void settle() {
        if (std::exchange(has_result_, false)) buffers_.front().store();
    }

    std::vector<Staged> buffers_;  // the result, if there is one, is the first
    std::unique_ptr<Transfer> inner_;
    bool has_result_;
};

class StagedCommunicator final : public Communicator {
public:
    StagedCommunicator(std::unique_ptr<Communicator> host, std::shared_ptr<cuda::Gpu> gpu, std::shared_ptr<Pool> pool,
                       GpuMessages messages)
        : host_(std::move(host)), gpu_(std::move(gpu)), pool_(std::move(pool)), messages_(messages) {}

    int rank() const override { return host_->rank(); }
    int size() const override { return host_->size(); }
    RankShared& shared() override { return host_->shared(); }

    void all_reduce(Tensor data, ReduceOp op, const char* what) override {
        start_all_reduce(data, op, what)->wait();
        count_waiting();
    }
    void all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) override {
        host_->all_reduce(values, count, op, what);
        count_waiting();
    }
    void all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) override {
        host_->all_reduce(values, count, op, what);
        count_waiting();
    }
    void reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        start_reduce_scatter(part, whole, what)->wait();
        count_waiting();
    }
    void all_gather(Tensor whole, Tensor part, const char* what) override {
        start_all_gather(whole, part, what)->wait();
        count_waiting();
    }
    void broadcast(void* data, std::int64_t bytes, int root, const char* what) override {
        host_->broadcast(data, bytes, root, what);
        count_waiting();
    }
    void barrier(const char* what) override {
        host_->barrier(what);
        count_waiting();
    }

    std::unique_ptr<Transfer> start_send(Tensor data, int to, const char* what) override {
        if (passes_through(data)) return host_->start_send(data, to, what);
        std::vector<Staged> buffers = staged({data});
        buffers[0].fetch();
        auto inner = host_->start_send(buffers[0].host(), to, what);
        return std::make_unique<StagedTransfer>(std::move(inner), std::move(buffers), false);
    }
    std::unique_ptr<Transfer> start_receive(Tensor data, int from, const char* what) override {
        if (passes_through(data)) return host_->start_receive(data, from, what);
        std::vector<Staged> buffers = staged({data});
        auto inner = host_->start_receive(buffers[0].host(), from, what);
        return std::make_unique<StagedTransfer>(std::move(inner), std::move(buffers), true);
    }
    std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp op, const char* what) override {
        if (!on_gpu(data)) return host_->start_all_reduce(data, op, what);
        std::vector<Staged> buffers = staged({data});
        buffers[0].fetch();
        auto inner = host_->start_all_reduce(buffers[0].host(), op, what);
        return std::make_unique<StagedTransfer>(std::move(inner), std::move(buffers), true);
    }
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        if (!on_gpu(whole)) return host_->start_reduce_scatter(part, whole, what);
        std::vector<Staged> buffers = staged({part, whole});
        buffers[1].fetch();
        auto inner = host_->start_reduce_scatter(buffers[0].host(), buffers[1].host(), what);
        return std::make_unique<StagedTransfer>(std::move(inner), std::move(buffers), true);
    }
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) override {
        if (!on_gpu(whole)) return host_->start_all_gather(whole, part, what);
        std::vector<Staged> buffers = staged({whole, part});
        buffers[1].fetch();
        auto inner = host_->start_all_gather(buffers[0].host(), buffers[1].host(), what);
        return std::make_unique<StagedTransfer>(std::move(inner), std::move(buffers), true);
    }

    std::unique_ptr<Communicator> split(int color, int key, const char* name) override {
        return std::make_unique<StagedCommunicator>(host_->split(color, key, name), gpu_, pool_, messages_);
    }
    std::unique_ptr<Communicator> duplicate() override {
        return std::make_unique<StagedCommunicator>(host_->duplicate(), gpu_, pool_, messages_);
    }

private:
    // Whether the host group receives the message's tensor without a copy. MPI does not know CUDA streams. Therefore
    // the kernels that write the sent tensor, or still read the receive buffer, must have finished: the compute stream
    // is synchronized first.
    bool passes_through(const Tensor& message) {
        if (!on_gpu(message)) return true;
        if (messages_ == GpuMessages::copied) return false;
        gpu_->synchronize();
        return true;
    }
    std::vector<Staged> staged(std::initializer_list<Tensor> tensors) {
        std::vector<Staged> buffers;
        buffers.reserve(tensors.size());
        for (const Tensor& tensor : tensors) buffers.emplace_back(pool_, gpu_, tensor);
        return buffers;
    }
    void count_waiting() { waited_seconds_ = host_->waited_seconds(); }

    std::unique_ptr<Communicator> host_;
    std::shared_ptr<cuda::Gpu> gpu_;
    std::shared_ptr<Pool> pool_;
    GpuMessages messages_;
};

}  // namespace

std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> host, Context& context,
                                                       GpuMessages messages) {
    return std::make_unique<StagedCommunicator>(std::move(host), context.shared_gpu(), std::make_shared<Pool>(),
                                                messages);
}

}  // namespace gpas
