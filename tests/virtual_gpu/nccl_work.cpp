#include "tests/virtual_gpu/nccl_work.hpp"

#include "tests/virtual_gpu/findings.hpp"
#include "tests/virtual_gpu/nccl_sum.hpp"

#include <algorithm>
#include <cstring>

namespace gpas::virtual_gpu {

const char* name_of(NcclCall call) {
    static constexpr const char* names[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast",
                                            "reduce",     "send",           "receive"};
    return names[int(call)];
}

std::size_t size_of(ncclDataType_t type) {
    switch (type) {
        case ncclInt8:
        case ncclUint8: return 1;
        case ncclFloat16:
        case ncclBfloat16: return 2;
        case ncclInt64:
        case ncclUint64:
        case ncclFloat64: return 8;
        default: return 4;
    }
}

std::string describe(const CallArguments& c, const ncclComm& comm) {
    std::string text = "NCCL " + std::string(name_of(c.call)) + " of " + std::to_string(c.count) + " x " +
                       std::to_string(size_of(c.type)) + " bytes";
    if (c.call == NcclCall::send) text += " to " + std::to_string(c.peer);
    if (c.call == NcclCall::receive) text += " from " + std::to_string(c.peer);
    return text + " over " + comm.name;
}

namespace {

constexpr std::size_t buffered_bytes = 64 << 10;  // a send up to this size ends without its receive

Signature signature_of(const CallArguments& c) {
    return {.call = c.is_message() ? 0 : std::int32_t(c.call),
            .type = std::int32_t(c.type),
            .operation = std::int32_t(c.operation),
            .root = c.is_message() ? 0 : c.peer,
            .count = c.count};
}

// One call of a piece of work.
class Part {
public:
    Part(ncclComm& comm, const CallArguments& arguments) : comm_(comm), c_(arguments) {}
    virtual ~Part() = default;
    virtual void start() = 0;
    virtual bool moves() const = 0;
    virtual bool poll() = 0;
    virtual std::uint64_t waits_for() const = 0;
    virtual BoardKey key() const = 0;

protected:
    std::size_t bytes() const { return c_.count * size_of(c_.type); }
    std::uint64_t bit_of(int rank) const {
        const std::uint32_t attached = comm_.area(rank).attached.load();
        return attached != 0 ? std::uint64_t(1) << (attached - 1) % 64 : 0;
    }
    std::uint64_t group_key(int from, int to) const {
        return std::hash<std::string>()(comm_.name) * 1000003U + std::uint64_t(from * 64 + to + 1);
    }
    void disagree(int other, const Signature& theirs) {
        if (!reported_)
            report(
                "rank " + std::to_string(comm_.rank) + " of " + comm_.name + " calls " + describe(c_, comm_) +
                ", but rank " + std::to_string(other) +
                (c_.is_message() ? std::string(" the other end") : std::string(" ") + name_of(NcclCall(theirs.call))) +
                " of " + std::to_string(theirs.count) + " elements of type " + std::to_string(theirs.type) +
                ": NCCL hangs, or gives wrong numbers");
        reported_ = true;
    }

    ncclComm& comm_;
    CallArguments c_;
    bool reported_ = false;
};

class Collective final : public Part {
public:
    Collective(ncclComm& comm, const CallArguments& arguments) : Part(comm, arguments), number_(++comm.collectives) {}

    void start() override {
        touch(c_.from, input_bytes(), Access::read);
        std::memcpy(comm_.segment->collective_slot(comm_.rank, number_), c_.from, input_bytes());
        touch(c_.to, output_bytes(), Access::write);
        if (writes_output()) std::memset(c_.to, poison, output_bytes());
        RankArea& mine = comm_.area(comm_.rank);
        mine.signatures[number_ % 2] = signature_of(c_);
        mine.arrived.store(number_);
    }
    bool moves() const override { return waits_for() == 0 && !reported_; }
    bool poll() override {
        if (waits_for() != 0) return false;
        for (int rank = 0; rank < comm_.size; ++rank) {
            const Signature theirs = comm_.area(rank).signatures[number_ % 2];
            if (theirs == signature_of(c_)) continue;
            disagree(rank, theirs);
            return false;
        }
        compute();
        comm_.area(comm_.rank).completed.store(number_);
        return true;
    }
    std::uint64_t waits_for() const override {
        std::uint64_t ranks = 0;
        for (int rank = 0; rank < comm_.size; ++rank)
            if (comm_.area(rank).arrived.load() < number_) ranks |= bit_of(rank);
        return ranks;
    }
    BoardKey key() const override { return {group_key(0, -1), number_}; }

private:
    std::size_t input_bytes() const {
        return c_.call == NcclCall::reduce_scatter ? bytes() * std::size_t(comm_.size) : bytes();
    }
    bool writes_output() const { return c_.call != NcclCall::reduce || c_.peer == comm_.rank; }
    std::size_t output_bytes() const {
        if (!writes_output()) return 0;
        return c_.call == NcclCall::all_gather ? bytes() * std::size_t(comm_.size) : bytes();
    }
    const std::byte* slot(int rank) const { return comm_.segment->collective_slot(rank, number_); }

    void compute() {
        auto* const to = static_cast<std::byte*>(c_.to);
        switch (c_.call) {
            case NcclCall::all_reduce:
            case NcclCall::reduce: return sum(0);
            case NcclCall::reduce_scatter: return sum(std::size_t(comm_.rank) * bytes());
            case NcclCall::all_gather:
                for (int rank = 0; rank < comm_.size; ++rank)
                    std::memcpy(to + std::size_t(rank) * bytes(), slot(rank), bytes());
                return;
            case NcclCall::broadcast: std::memcpy(to, slot(c_.peer), bytes()); return;
            default: return;
        }
    }
    void sum(std::size_t offset) {
        if (!writes_output()) return;
        std::vector<const std::byte*> parts;
        for (int rank = 0; rank < comm_.size; ++rank) parts.push_back(slot(rank) + offset);
        reduce(c_.to, parts, c_.count, c_.type, c_.operation);
    }

    std::uint64_t number_;
};

class Send final : public Part {
public:
    Send(ncclComm& comm, const CallArguments& arguments)
        : Part(comm, arguments), number_(++comm.sent[arguments.peer]) {}

    void start() override { touch(c_.from, bytes(), Access::read); }
    bool moves() const override { return copied_ ? leaves() : lane().received.load() + 1 == number_; }
    bool poll() override {
        if (!copied_ && lane().received.load() + 1 == number_) {
            std::memcpy(comm_.segment->message_slot(comm_.rank, c_.peer), c_.from, bytes());
            lane().signature = signature_of(c_);
            lane().sent.store(number_);
            copied_ = true;
        }
        return copied_ && leaves();
    }
    std::uint64_t waits_for() const override { return bit_of(c_.peer); }
    BoardKey key() const override { return {group_key(comm_.rank, c_.peer), number_}; }

private:
    Lane& lane() const { return comm_.area(comm_.rank).lanes[c_.peer]; }
    bool leaves() const { return lane().received.load() >= number_ || (buffered() && bytes() <= buffered_bytes); }
    // NCCL buffers a small message. A program that relies on this deadlocks with larger messages.
    static bool buffered() { return settings().scheduler == Scheduler::earliest; }

    std::uint64_t number_;
    bool copied_ = false;
};

class Receive final : public Part {
public:
    Receive(ncclComm& comm, const CallArguments& arguments)
        : Part(comm, arguments), number_(++comm.received[arguments.peer]) {}

    void start() override {
        touch(c_.to, bytes(), Access::write);
        std::memset(c_.to, poison, bytes());
    }
    bool moves() const override { return lane().sent.load() >= number_ && !reported_; }
    bool poll() override {
        if (lane().sent.load() < number_) return false;
        const Signature theirs = lane().signature;
        if (!(theirs == signature_of(c_))) {
            disagree(c_.peer, theirs);
            return false;
        }
        std::memcpy(c_.to, comm_.segment->message_slot(c_.peer, comm_.rank), bytes());
        lane().received.store(number_);
        return true;
    }
    std::uint64_t waits_for() const override { return bit_of(c_.peer); }
    BoardKey key() const override { return {group_key(c_.peer, comm_.rank), number_}; }

private:
    Lane& lane() const { return comm_.area(c_.peer).lanes[comm_.rank]; }

    std::uint64_t number_;
};

// One NCCL kernel.
class Work final : public SharedWork {
public:
    Work(ncclComm& comm, const std::vector<CallArguments>& calls) : comm_(comm), number_(++comm.enqueued) {
        for (const CallArguments& call : calls) switch (call.call) {
                case NcclCall::send: parts_.push_back(std::make_unique<Send>(comm, call)); break;
                case NcclCall::receive: parts_.push_back(std::make_unique<Receive>(comm, call)); break;
                default: parts_.push_back(std::make_unique<Collective>(comm, call)); break;
            }
    }
    ~Work() override {
        if (!over_) comm_.over = std::max(comm_.over, number_);
    }
    int blocks() const override { return comm_.blocks; }
    bool may_start() const override { return comm_.over + 1 == number_; }
    void start() override {
        for (const auto& part : parts_) part->start();
    }
    bool moves() const override {
        return std::any_of(parts_.begin(), parts_.end(), [](const auto& part) { return part->moves(); });
    }
    bool poll() override {
        std::erase_if(parts_, [](const auto& part) { return part->poll(); });
        over_ = parts_.empty();
        if (over_) comm_.over = number_;
        return over_;
    }
    std::uint64_t waits_for() const override {
        std::uint64_t ranks = 0;
        for (const auto& part : parts_) ranks |= part->waits_for();
        return ranks;
    }
    BoardKey key() const override { return parts_.empty() ? BoardKey() : parts_.front()->key(); }
    const ncclComm& comm() const { return comm_; }

private:
    ncclComm& comm_;
    std::uint64_t number_;
    std::vector<std::unique_ptr<Part>> parts_;
    bool over_ = false;
};

}  // namespace

std::shared_ptr<SharedWork> make_work(ncclComm& comm, const std::vector<CallArguments>& calls) {
    return std::make_shared<Work>(comm, calls);
}

bool belongs_to(const SharedWork& work, const ncclComm& comm) {
    return &static_cast<const Work&>(work).comm() == &comm;
}

}  // namespace gpas::virtual_gpu
