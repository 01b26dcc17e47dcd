#include "parallel/nccl/nccl_communicator.hpp"

#include "base/error.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/profiling.hpp"
#include "parallel/nccl/nccl_session.hpp"

#include <cuda_runtime_api.h>

#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace gpas {
namespace {

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

// wait() makes the compute stream wait for the end of a call; it does not block the host.
class StreamTransfer final : public Transfer {
public:
    StreamTransfer(std::shared_ptr<CudaCompletion> done, std::shared_ptr<cuda::Gpu> gpu)
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
    std::shared_ptr<CudaCompletion> done_;
    std::shared_ptr<cuda::Gpu> gpu_;
};

using Id = std::array<std::int32_t, sizeof(ncclUniqueId) / sizeof(std::int32_t)>;

ncclUniqueId unique_id(const Id& words) {
    ncclUniqueId id;
    std::memcpy(&id, words.data(), sizeof id);
    return id;
}

Id words_of(const ncclUniqueId& id) {
    Id words;
    std::memcpy(words.data(), &id, sizeof id);
    return words;
}

class NcclCommunicator final : public Communicator {
public:
    NcclCommunicator(std::unique_ptr<Communicator> host, std::shared_ptr<NcclSession> session, Context& context,
                     NcclUse use, const char* name)
        : host_(std::move(host)),
          session_(std::move(session)),
          gpu_(context.shared_gpu()),
          name_(name),
          names_work_(context.names_work()) {
        if (use == NcclUse::collectives || use == NcclUse::collectives_and_exchanges)
            open_collectives(use == NcclUse::collectives_and_exchanges);
        else
            open_messages(use == NcclUse::messages_to_next ? 1 : size() - 1);
    }

    int rank() const override { return host_->rank(); }
    int size() const override { return host_->size(); }
    RankShared& shared() override { return host_->shared(); }

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
        return enqueue(
            channel_of(sends_, to), "send", what, data,
            [=, this](const NcclChannel& channel) {
                return session_->nccl().ncclSend(data.data, std::size_t(data.elements()), type_of(data.dtype), 1,
                                                 channel.comm, channel.stream);
            },
            Kind::send);
    }
    std::unique_ptr<Transfer> start_receive(Tensor data, int from, const char* what) override {
        if (!on_gpu(data)) return host_->start_receive(data, from, what);
        if (!std::exchange(receive_allowed_, false)) allowed_.record(compute_stream(*gpu_));
        const Call call = [=, this](const NcclChannel& channel) {
            return session_->nccl().ncclRecv(data.data, std::size_t(data.elements()), type_of(data.dtype), 0,
                                             channel.comm, channel.stream);
        };
        return enqueue({channel_of(receives_, from), call}, "receive", what, data, Kind::receive, allowed_);
    }
    void allow_receive() override {
        allowed_.record(compute_stream(*gpu_));
        receive_allowed_ = true;
    }
    std::unique_ptr<Transfer> start_exchange(Tensor sent, int to, Tensor received, int from,
                                             const char* what) override {
        if (!on_gpu(sent)) return host_->start_exchange(sent, to, received, from, what);
        return enqueue(all_, "exchange", what, sent, [=, this](const NcclChannel& channel) {
            return exchange(channel, {sent.data, received.data},
                            {std::size_t(sent.elements()), std::size_t(received.elements())}, type_of(sent.dtype), to,
                            from);
        });
    }
    std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp op, const char* what) override {
        if (!on_gpu(data)) return host_->start_all_reduce(data, op, what);
        return enqueue(all_, "all_reduce", what, data, [=, this](const NcclChannel& channel) {
            return session_->nccl().ncclAllReduce(data.data, data.data, std::size_t(data.elements()),
                                                  type_of(data.dtype), operation(op), channel.comm, channel.stream);
        });
    }
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        if (!on_gpu(whole)) return host_->start_reduce_scatter(part, whole, what);
        check_shares("reduce_scatter", part, whole, what);
        return enqueue(all_, "reduce_scatter", what, whole, [=, this](const NcclChannel& channel) {
            return session_->nccl().ncclReduceScatter(whole.data, part.data, std::size_t(part.elements()),
                                                      type_of(part.dtype), ncclSum, channel.comm, channel.stream);
        });
    }
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) override {
        if (!on_gpu(whole)) return host_->start_all_gather(whole, part, what);
        check_shares("all_gather", part, whole, what);
        return enqueue(all_, "all_gather", what, whole, [=, this](const NcclChannel& channel) {
            return session_->nccl().ncclAllGather(part.data, whole.data, std::size_t(part.elements()),
                                                  type_of(part.dtype), channel.comm, channel.stream);
        });
    }

    std::unique_ptr<Communicator> split(int color, int key, const char* name) override {
        return host_->split(color, key, name);
    }
    std::unique_ptr<Communicator> duplicate() override { return host_->duplicate(); }

private:
    // Send and receive in one NCCL group call, hence in one kernel. Two kernels on one stream would run one after the
    // other, and the ranks' sends would wait for each other's receives.
    ncclResult_t exchange(const NcclChannel& channel, std::array<void*, 2> data, std::array<std::size_t, 2> counts,
                          ncclDataType_t type, int to, int from) const {
        const Nccl& nccl = session_->nccl();
        const ncclResult_t results[] = {
            nccl.ncclGroupStart(), nccl.ncclSend(data[0], counts[0], type, to, channel.comm, channel.stream),
            nccl.ncclRecv(data[1], counts[1], type, from, channel.comm, channel.stream), nccl.ncclGroupEnd()};
        for (const ncclResult_t result : results)
            if (result != ncclSuccess && result != ncclInProgress) return result;
        return ncclSuccess;
    }

    void open_collectives(bool exchanges) {
        Id words{};
        if (rank() == 0) words = words_of(session_->new_id());
        host_->broadcast(words.data(), sizeof words, 0, "NCCL's id");
        all_ = session_->open({{.group = name_, .rank = rank(), .ranks = size(), .id = unique_id(words)}}).front();
        session_->connect({{all_, [this](const NcclChannel& channel) {
                                return session_->nccl().ncclAllReduce(session_->scratch(), session_->scratch(), 1,
                                                                      ncclFloat32, ncclSum, channel.comm,
                                                                      channel.stream);
                            }}});
        for (int step = 1; exchanges && step < size(); ++step) {
            float* scratch = static_cast<float*>(session_->scratch());
            session_->connect({{all_, [=, this](const NcclChannel& channel) {
                                    return exchange(channel, {scratch, scratch + 1}, {1, 1}, ncclFloat32,
                                                    (rank() + step) % size(), (rank() - step + size()) % size());
                                }}});
        }
    }

    // Opens two communicators of two ranks: one to send to rank + step of the ring, one to receive from rank - step. In
    // each the sender is rank 0 and makes the unique id.
    void open_messages(int step) {
        const int to = (rank() + step) % size();
        const int from = (rank() - step + size()) % size();
        const Id mine = words_of(session_->new_id());
        std::vector<Id> ids(std::size_t(host_->size()));
        constexpr std::int64_t words = std::int64_t(Id().size());
        host_->all_gather(Tensor(ids.data(), Dtype::int32, {host_->size() * words}),
                          Tensor(const_cast<std::int32_t*>(mine.data()), Dtype::int32, {words}), "NCCL's ids");
        using enum NcclSession::Size;
        const std::vector<NcclChannel*> opened = session_->open(
            {{.group = name_, .size = messages, .rank = 0, .ranks = 2, .id = unique_id(ids[std::size_t(rank())])},
             {.group = name_, .size = messages, .rank = 1, .ranks = 2, .id = unique_id(ids[std::size_t(from)])}});
        sends_[to] = opened[0];
        receives_[from] = opened[1];
        session_->connect({{opened[0],
                            [this](const NcclChannel& channel) {
                                return session_->nccl().ncclSend(session_->scratch(), 1, ncclFloat32, 1, channel.comm,
                                                                 channel.stream);
                            }},
                           {opened[1], [this](const NcclChannel& channel) {
                                return session_->nccl().ncclRecv(static_cast<float*>(session_->scratch()) + 1, 1,
                                                                 ncclFloat32, 0, channel.comm, channel.stream);
                            }}});
    }

    static NcclChannel* channel_of(const std::map<int, NcclChannel*>& channels, int peer) {
        const auto found = channels.find(peer);
        return found == channels.end() ? nullptr : found->second;
    }

    void check_shares(const char* call, const Tensor& part, const Tensor& whole, const char* what) const {
        require(part.dtype == whole.dtype && whole.elements() == part.elements() * size(),
                "{} of {} over {}: whole is {}, part is {}", call, what, name_, whole.describe(), part.describe());
    }

    // Enqueues a call after the work that is on the compute stream now. The transfer can make the compute stream wait.
    using Call = std::function<ncclResult_t(const NcclChannel&)>;
    using Kind = NcclSession::Kind;
    std::unique_ptr<Transfer> enqueue(NcclChannel* channel, const char* op, const char* what, const Tensor& data,
                                      Call call, Kind kind = Kind::collective) {
        before_.record(compute_stream(*gpu_));
        return enqueue({channel, std::move(call)}, op, what, data, kind, before_);
    }
    // Enqueues a call after the work that `after` has recorded.
    std::unique_ptr<Transfer> enqueue(const NcclSession::Work& work, const char* op, const char* what,
                                      const Tensor& data, Kind kind, const CudaEvent& after) {
        require(work.channel != nullptr, "{} of {}: the group {} carries other calls", op, what, name_);
        const cuda::Range range(names_work_, "{} of {} over {}", op, what, name_);
        const std::int64_t number = calls().begin(name_, op, what, data.describe());
        return std::make_unique<StreamTransfer>(session_->enqueue(work, number, after, kind), gpu_);
    }

    std::unique_ptr<Communicator> host_;
    std::shared_ptr<NcclSession> session_;  // destroyed before host_, whose RankShared it uses
    std::shared_ptr<cuda::Gpu> gpu_;
    std::string name_;
    bool names_work_;  // NVTX ranges for a profiler
    NcclChannel* all_ = nullptr;
    std::map<int, NcclChannel*> sends_, receives_;  // key: the rank at the other end
    CudaEvent before_, allowed_;
    bool receive_allowed_ = false;
};

}  // namespace

std::shared_ptr<NcclSession> make_nccl_session(Context& context, RankShared& rank) {
    return std::make_shared<NcclSession>(context.shared_gpu(), rank);
}

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host, Context& context, NcclUse use,
                                                     const char* name, std::shared_ptr<NcclSession> session) {
    if (!session) session = make_nccl_session(context, host->shared());
    return std::make_unique<NcclCommunicator>(std::move(host), std::move(session), context, use, name);
}

}  // namespace gpas
