#include "parallel/nccl_communicator.hpp"

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/error.hpp"
#include "parallel/agree.hpp"
#include "parallel/nccl_library.hpp"

#include <cuda_runtime_api.h>

#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <thread>
#include <utility>
#include <vector>

namespace gpas {
namespace {

using cuda::check;

void check_nccl(const Nccl& nccl, ncclResult_t result, const char* call) {
    if (result != ncclSuccess && result != ncclInProgress)
        fail(ExitCode::environment, "NCCL: {}: {} ({})", call, nccl.ncclGetErrorString(result),
             nccl.ncclGetLastError(nullptr));
}

ncclDataType_t type_of(Dtype dtype) {
    switch (dtype) {
        case Dtype::fp32: return ncclFloat32;
        case Dtype::bf16: return ncclBfloat16;
        case Dtype::int32: return ncclInt32;
        case Dtype::fp64: return ncclFloat64;
    }
    return ncclFloat32;
}

ncclRedOp_t operation(ReduceOp op) { return op == ReduceOp::sum ? ncclSum : op == ReduceOp::max ? ncclMax : ncclMin; }

bool on_gpu(const Tensor& tensor) { return tensor.device == Device::cuda; }

cudaStream_t compute_stream(const cuda::Gpu& gpu) { return static_cast<cudaStream_t>(gpu.stream()); }

class Event {
public:
    Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
    void delay(cudaStream_t stream) const { check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent"); }
    bool reached() const {
        const cudaError_t state = cudaEventQuery(event_);
        if (state != cudaErrorNotReady) check(state, "cudaEventQuery");
        return state == cudaSuccess;
    }

private:
    cudaEvent_t event_ = nullptr;
};

// One NCCL communicator and the stream that its work is enqueued on.
class Channel {
public:
    explicit Channel(const Nccl& nccl) : nccl_(nccl) {
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    }
    ~Channel() {
        if (comm_ != nullptr) failed_ ? nccl_.ncclCommAbort(comm_) : nccl_.ncclCommDestroy(comm_);
        cudaStreamDestroy(stream_);
    }
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // Begins, within a group of NCCL calls; ready() ends it.
    void begin(int rank, int size, const ncclUniqueId& id) {
        ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
        config.blocking = 0;
        check_nccl(nccl_, nccl_.ncclCommInitRankConfig(&comm_, size, id, rank, &config), "ncclCommInitRankConfig");
    }
    // Whether what was asked of the communicator is under way on the GPU; Error(environment) when it failed.
    bool ready() {
        ncclResult_t state = ncclSuccess;
        ncclResult_t asked = nccl_.ncclCommGetAsyncError(comm_, &state);
        if (asked == ncclSuccess) asked = state;
        if (asked != ncclSuccess && asked != ncclInProgress) give_up();
        check_nccl(nccl_, asked, "communicator");
        return asked == ncclSuccess;
    }
    void give_up() { failed_ = true; }

    ncclComm_t comm() const { return comm_; }
    cudaStream_t stream() const { return stream_; }

private:
    const Nccl& nccl_;
    cudaStream_t stream_ = nullptr;
    ncclComm_t comm_ = nullptr;
    bool failed_ = false;
};

// Waits of the host for NCCL's own threads: short, but not without an end.
void wait_for(const std::vector<Channel*>& channels, double timeout_seconds, const char* what) {
    const auto start = std::chrono::steady_clock::now();
    for (Channel* channel : channels)
        while (!channel->ready()) {
            const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            if (timeout_seconds > 0.0 && seconds > timeout_seconds) {
                for (Channel* each : channels) each->give_up();
                fail(ExitCode::environment,
                     "NCCL: {} did not end within {} s (parallel.timeout_seconds): a rank is missing or cannot be "
                     "reached",
                     what, timeout_seconds);
            }
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
}

// The compute stream waits for the end of a call, when asked to.
class StreamTransfer final : public Transfer {
public:
    StreamTransfer(std::unique_ptr<Event> done, std::shared_ptr<cuda::Gpu> gpu)
        : done_(std::move(done)), gpu_(std::move(gpu)) {}
    ~StreamTransfer() override {
        if (done_) done_->delay(compute_stream(*gpu_));
    }
    void wait() override {
        if (done_) done_->delay(compute_stream(*gpu_));
        done_.reset();
    }
    bool finished() override {
        if (done_ && !done_->reached()) return false;
        wait();
        return true;
    }

private:
    std::unique_ptr<Event> done_;
    std::shared_ptr<cuda::Gpu> gpu_;
};

using Id = std::array<std::int32_t, sizeof(ncclUniqueId) / sizeof(std::int32_t)>;

ncclUniqueId unique_id(const Id& words) {
    ncclUniqueId id;
    std::memcpy(&id, words.data(), sizeof id);
    return id;
}

Id new_id(const Nccl& nccl) {
    ncclUniqueId id;
    check_nccl(nccl, nccl.ncclGetUniqueId(&id), "ncclGetUniqueId");
    Id words;
    std::memcpy(words.data(), &id, sizeof id);
    return words;
}

class NcclCommunicator final : public Communicator {
public:
    NcclCommunicator(std::unique_ptr<Communicator> host, Context& context, NcclUse use, const char* name)
        : host_(std::move(host)), gpu_(context.shared_gpu()), name_(name) {
        // Every rank offers an id: of the group, or of the messages that it sends.
        std::vector<Id> ids(std::size_t(host_->size()));
        Id mine = new_id(nccl_);
        constexpr std::int64_t words = std::int64_t(Id().size());
        host_->all_gather(Tensor(ids.data(), Dtype::int32, {host_->size() * words}),
                          Tensor(mine.data(), Dtype::int32, {words}), "NCCL ids");
        check_nccl(nccl_, nccl_.ncclGroupStart(), "ncclGroupStart");
        if (use == NcclUse::collectives)
            all_.begin(rank(), size(), unique_id(ids[0]));
        else
            begin_messages(ids, use == NcclUse::messages_to_next ? 1 : size() - 1);
        check_nccl(nccl_, nccl_.ncclGroupEnd(), "ncclGroupEnd");
        wait_for(channels(), log().settings.timeout_seconds, "the start of a communicator");
        gpu_->add_watcher(this, [this](double seconds) { watch(seconds); });
    }
    ~NcclCommunicator() override { gpu_->remove_watcher(this); }

    int rank() const override { return host_->rank(); }
    int size() const override { return host_->size(); }
    CommLog& log() override { return host_->log(); }

    void all_reduce(Tensor data, ReduceOp op, const char* what) override { start_all_reduce(data, op, what)->wait(); }
    void all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) override {
        host_->all_reduce(values, count, op, what);
        waited_seconds_ = host_->waited_seconds();
    }
    void all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) override {
        host_->all_reduce(values, count, op, what);
        waited_seconds_ = host_->waited_seconds();
    }
    void reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        start_reduce_scatter(part, whole, what)->wait();
    }
    void all_gather(Tensor whole, Tensor part, const char* what) override {
        start_all_gather(whole, part, what)->wait();
    }
    void broadcast(void* data, std::int64_t bytes, int root, const char* what) override {
        host_->broadcast(data, bytes, root, what);
    }
    void barrier(const char* what) override { host_->barrier(what); }

    std::unique_ptr<Transfer> start_send(Tensor data, int to, const char* what) override {
        if (!on_gpu(data)) return host_->start_send(data, to, what);
        return enqueue(sends_.at(to), "send", what, data, [&](const Channel& channel) {
            return nccl_.ncclSend(data.data, std::size_t(data.elements()), type_of(data.dtype), 1, channel.comm(),
                                  channel.stream());
        });
    }
    std::unique_ptr<Transfer> start_receive(Tensor data, int from, const char* what) override {
        if (!on_gpu(data)) return host_->start_receive(data, from, what);
        return enqueue(receives_.at(from), "receive", what, data, [&](const Channel& channel) {
            return nccl_.ncclRecv(data.data, std::size_t(data.elements()), type_of(data.dtype), 0, channel.comm(),
                                  channel.stream());
        });
    }
    std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp op, const char* what) override {
        if (!on_gpu(data)) return host_->start_all_reduce(data, op, what);
        return enqueue(all_, "all_reduce", what, data, [&](const Channel& channel) {
            return nccl_.ncclAllReduce(data.data, data.data, std::size_t(data.elements()), type_of(data.dtype),
                                       operation(op), channel.comm(), channel.stream());
        });
    }
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        if (!on_gpu(whole)) return host_->start_reduce_scatter(part, whole, what);
        check_shares("reduce_scatter", part, whole, what);
        return enqueue(all_, "reduce_scatter", what, whole, [&](const Channel& channel) {
            return nccl_.ncclReduceScatter(whole.data, part.data, std::size_t(part.elements()), type_of(part.dtype),
                                           ncclSum, channel.comm(), channel.stream());
        });
    }
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) override {
        if (!on_gpu(whole)) return host_->start_all_gather(whole, part, what);
        check_shares("all_gather", part, whole, what);
        return enqueue(all_, "all_gather", what, whole, [&](const Channel& channel) {
            return nccl_.ncclAllGather(part.data, whole.data, std::size_t(part.elements()), type_of(part.dtype),
                                       channel.comm(), channel.stream());
        });
    }

    std::unique_ptr<Communicator> split(int color, int key, const char* name) override {
        return host_->split(color, key, name);
    }
    std::unique_ptr<Communicator> duplicate() override { return host_->duplicate(); }

private:
    // To rank + step of the ring, and from rank - step: the sender is rank 0 of the pair.
    void begin_messages(const std::vector<Id>& ids, int step) {
        const int to = (rank() + step) % size();
        const int from = (rank() - step + size()) % size();
        sends_.try_emplace(to, nccl_).first->second.begin(0, 2, unique_id(ids[std::size_t(rank())]));
        receives_.try_emplace(from, nccl_).first->second.begin(1, 2, unique_id(ids[std::size_t(from)]));
    }

    std::vector<Channel*> channels() {
        std::vector<Channel*> all;
        if (all_.comm() != nullptr) all.push_back(&all_);
        for (auto& [peer, channel] : sends_) all.push_back(&channel);
        for (auto& [peer, channel] : receives_) all.push_back(&channel);
        return all;
    }

    void check_shares(const char* call, const Tensor& part, const Tensor& whole, const char* what) const {
        require(part.dtype == whole.dtype && whole.elements() == part.elements() * size(),
                "{} of {} over {}: whole is {}, part is {}", call, what, name_, whole.describe(), part.describe());
    }

    // After what is on the compute stream; the transfer lets the compute stream wait for it.
    template <class Call>
    std::unique_ptr<Transfer> enqueue(Channel& channel, const char* op, const char* what, const Tensor& data,
                                      Call&& call) {
        require(channel.comm() != nullptr, "{} of {}: the group {} carries other calls", op, what, name_);
        const std::int64_t number = log().begin(name_, op, what, data.describe());
        const auto compute = compute_stream(*gpu_);
        before_.record(compute);
        before_.delay(channel.stream());
        check_nccl(nccl_, call(channel), op);
        wait_for({&channel}, log().settings.timeout_seconds, op);
        auto done = std::make_unique<Event>();
        done->record(channel.stream());
        log().end(number);  // enqueued
        return std::make_unique<StreamTransfer>(std::move(done), gpu_);
    }

    // While the host waits for the GPU: a peer that is gone shows as an error of NCCL, or as a wait without an end.
    void watch(double seconds) {
        for (Channel* channel : channels()) channel->ready();
        const double timeout = log().settings.timeout_seconds;
        if (timeout <= 0.0 || seconds <= timeout) return;
        for (Channel* channel : channels()) channel->give_up();
        fail(ExitCode::environment,
             "the GPU has not ended its work within {} s (parallel.timeout_seconds), the last of it {}: a rank of the "
             "group {} is missing or stands still",
             timeout, log().last().empty() ? "nothing" : text_of(log().last().back()), name_);
    }

    std::unique_ptr<Communicator> host_;
    std::shared_ptr<cuda::Gpu> gpu_;
    std::string name_;
    const Nccl nccl_ = load_nccl();
    Channel all_{nccl_};
    std::map<int, Channel> sends_, receives_;  // by the rank at the other end
    Event before_;
};

}  // namespace

bool nccl_can_serve(Communicator& world, std::string* why_not) {
    const std::array<std::int64_t, 2> mine = cuda::device_identity();
    std::vector<std::int64_t> all(2 * std::size_t(world.size()), 0);
    for (std::size_t i = 0; i < 2; ++i) all[2 * std::size_t(world.rank()) + i] = mine[i];
    world.all_reduce(all.data(), std::int64_t(all.size()), ReduceOp::sum, "identities of GPUs");
    std::map<std::pair<std::int64_t, std::int64_t>, int> owner;
    for (int rank = 0; rank < world.size(); ++rank) {
        const auto [other, added] =
            owner.try_emplace({all[2 * std::size_t(rank)], all[2 * std::size_t(rank) + 1]}, rank);
        if (added) continue;
        if (why_not != nullptr)
            *why_not = fmt::format("ranks {} and {} share a GPU, which NCCL refuses", other->second, rank);
        return false;
    }
    agree(world, [] { load_nccl(); });
    return true;
}

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, Context& context, NcclUse use,
                                                     const char* name) {
    return std::make_unique<NcclCommunicator>(std::move(host), context, use, name);
}

}  // namespace gpas
