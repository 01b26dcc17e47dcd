// In a collective call, each rank stores a pointer to its data in a table that all threads of the group see. It waits
// until all ranks have done so, computes its own result, and waits until all ranks have computed theirs. There is one
// lock for all groups, because speed does not matter in tests.
#include "tests/support/thread_communicator.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gpas {
namespace {

// State that all ranks share.
struct Process {
    std::mutex lock;
    std::condition_variable changed;
    bool failed = false;                // a rank has ended with an error, so no rank may wait for it
    std::vector<std::string> waits_in;  // per rank of the world: the call in which it is blocked; empty: not blocked
};

// A message between two ranks. The rank that arrives second copies the data.
struct Mail {
    const void* from = nullptr;
    void* to = nullptr;
    std::int64_t sent_bytes = 0;
    std::int64_t wanted_bytes = 0;
    bool has_sender = false;
    bool has_receiver = false;
    bool over = false;
};
struct Mailbox {
    std::deque<std::shared_ptr<Mail>> open;  // messages with only a sender or only a receiver so far
};

// A rank's entry in the table of a group, for one call.
struct Offer {
    std::string call;
    const void* data = nullptr;
};

struct Group {
    Group(std::shared_ptr<Process> p, std::vector<int> world_ranks, std::string group_name)
        : process(std::move(p)), members(std::move(world_ranks)), name(std::move(group_name)) {
        offers.resize(members.size());
    }
    std::shared_ptr<Process> process;
    std::vector<int> members;  // ranks in the world
    std::string name;
    std::vector<Offer> offers;
    std::size_t arrived = 0;
    std::int64_t round = 0;
    std::map<std::pair<int, int>, Mailbox> mail;                              // by (from, to)
    std::map<std::pair<std::int64_t, int>, std::shared_ptr<Group>> children;  // of split(): by (round, color)
};

class MailTransfer final : public Transfer {
public:
    MailTransfer(std::function<bool()> over, std::function<void()> wait)
        : over_(std::move(over)), wait_(std::move(wait)) {}
    ~MailTransfer() override {
        if (waited_) return;
        try {
            wait_();
        } catch (const Error&) {  // the rank is already ending with an error
        }
    }
    MailTransfer(const MailTransfer&) = delete;
    MailTransfer& operator=(const MailTransfer&) = delete;
    void wait() override {
        waited_ = true;
        wait_();
    }
    bool finished() override { return over_(); }

private:
    bool waited_ = false;
    std::function<bool()> over_;
    std::function<void()> wait_;
};

class Over final : public Transfer {
public:
    void wait() override {}
    bool finished() override { return true; }
};

template <class T>
T combine(ReduceOp op, T a, T b) {
    return op == ReduceOp::sum ? T(a + b) : op == ReduceOp::max ? std::max(a, b) : std::min(a, b);
}

class ThreadCommunicator final : public Communicator {
public:
    ThreadCommunicator(std::shared_ptr<Group> group, int rank, std::shared_ptr<RankShared> shared)
        : group_(std::move(group)), rank_(rank), shared_(std::move(shared)) {}

    int rank() const override { return rank_; }
    int size() const override { return int(group_->members.size()); }
    RankShared& shared() override { return *shared_; }

    void all_reduce(Tensor data, ReduceOp op, const char* what) override {
        switch (data.dtype) {
            case Dtype::fp32: return reduce(data.as<float>(), data.elements(), op, what, data.describe());
            case Dtype::int32: return reduce(data.as<std::int32_t>(), data.elements(), op, what, data.describe());
            case Dtype::bf16: return reduce_bf16(data, op, what);
            case Dtype::fp64: return reduce(data.as<double>(), data.elements(), op, what, data.describe());
        }
    }
    void all_reduce(double* values, std::int64_t count, ReduceOp op, const char* what) override {
        reduce(values, count, op, what, fmt::format("fp64[{}]", count));
    }
    void all_reduce(std::int64_t* values, std::int64_t count, ReduceOp op, const char* what) override {
        reduce(values, count, op, what, fmt::format("int64[{}]", count));
    }

    void reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        require(whole.dtype == part.dtype && whole.elements() == part.elements() * size(),
                "reduce_scatter of {}: whole is {}, part is {}", what, whole.describe(), part.describe());
        const std::int64_t share = part.elements();
        std::vector<double> sum(static_cast<std::size_t>(share), 0.0);
        meet("reduce_scatter", what, whole.describe(), whole.data, [&] {
            for (const Offer& offer : group_->offers)
                for (std::int64_t i = 0; i < share; ++i)
                    add(sum[std::size_t(i)], whole.dtype, element(offer.data, whole.dtype, rank_ * share + i));
        });
        for (std::int64_t i = 0; i < share; ++i) set_element(part, i, sum[std::size_t(i)]);
    }

    void all_gather(Tensor whole, Tensor part, const char* what) override {
        require(whole.dtype == part.dtype && whole.elements() == part.elements() * size(),
                "all_gather of {}: whole is {}, part is {}", what, whole.describe(), part.describe());
        const std::int64_t bytes = part.bytes();
        std::vector<char> all(std::size_t(whole.bytes()));
        meet("all_gather", what, whole.describe(), part.data, [&] {
            for (std::size_t r = 0; r < group_->offers.size(); ++r)
                copy(all.data() + std::int64_t(r) * bytes, group_->offers[r].data, bytes);
        });
        copy(whole.data, all.data(), whole.bytes());
    }

    void broadcast(void* data, std::int64_t bytes, int root, const char* what) override {
        std::vector<char> copied(static_cast<std::size_t>(bytes));
        meet("broadcast", what, fmt::format("{} bytes from rank {}", bytes, root), data,
             [&] { copy(copied.data(), group_->offers[std::size_t(root)].data, bytes); });
        if (rank_ != root) copy(data, copied.data(), bytes);
    }

    void barrier(const char* what) override {
        meet("barrier", what, "", nullptr, [] {});
    }

    std::unique_ptr<Transfer> start_send(Tensor data, int to, const char* what) override {
        return post(true, data, to, what);
    }
    std::unique_ptr<Transfer> start_receive(Tensor data, int from, const char* what) override {
        return post(false, data, from, what);
    }
    std::unique_ptr<Transfer> start_all_reduce(Tensor data, ReduceOp op, const char* what) override {
        all_reduce(data, op, what);
        return std::make_unique<Over>();
    }
    std::unique_ptr<Transfer> start_reduce_scatter(Tensor part, Tensor whole, const char* what) override {
        reduce_scatter(part, whole, what);
        return std::make_unique<Over>();
    }
    std::unique_ptr<Transfer> start_all_gather(Tensor whole, Tensor part, const char* what) override {
        all_gather(whole, part, what);
        return std::make_unique<Over>();
    }

    std::unique_ptr<Communicator> split(int color, int key, const char* name) override {
        const std::pair<int, int> mine{color, key};
        std::vector<std::pair<int, int>> same;  // (key, rank)
        std::int64_t round = 0;
        meet("split", name, "", &mine, [&] {
            round = group_->round;
            for (std::size_t r = 0; r < group_->offers.size(); ++r) {
                const auto& [c, k] = *static_cast<const std::pair<int, int>*>(group_->offers[r].data);
                if (c == color) same.emplace_back(k, int(r));
            }
        });
        std::sort(same.begin(), same.end());
        std::vector<int> members;
        int place = 0;
        for (std::size_t i = 0; i < same.size(); ++i) {
            members.push_back(group_->members[std::size_t(same[i].second)]);
            if (same[i].second == rank_) place = int(i);
        }
        const std::scoped_lock guard(group_->process->lock);
        std::shared_ptr<Group>& child = group_->children[{round, color}];
        if (!child) child = std::make_shared<Group>(group_->process, members, name);
        return std::make_unique<ThreadCommunicator>(child, place, shared_);
    }
    std::unique_ptr<Communicator> duplicate() override { return split(0, rank_, group_->name.c_str()); }

private:
    static void copy(void* to, const void* from, std::int64_t bytes) {
        if (bytes > 0) std::memcpy(to, from, std::size_t(bytes));
    }
    // Sums are rounded to fp32, except sums of fp64.
    static void add(double& sum, Dtype dtype, double x) {
        sum = dtype == Dtype::fp64 ? sum + x : double(float(sum + x));
    }
    static double element(const void* data, Dtype dtype, std::int64_t i) {
        switch (dtype) {
            case Dtype::fp32: return double(static_cast<const float*>(data)[i]);
            case Dtype::bf16: return double(float(static_cast<const bf16*>(data)[i]));
            case Dtype::int32: return static_cast<const std::int32_t*>(data)[i];
            case Dtype::fp64: return static_cast<const double*>(data)[i];
        }
        return 0.0;
    }
    static void set_element(const Tensor& tensor, std::int64_t i, double value) {
        switch (tensor.dtype) {
            case Dtype::fp32: tensor.as<float>()[i] = float(value); return;
            case Dtype::bf16: tensor.as<bf16>()[i] = bf16(float(value)); return;
            case Dtype::fp64: tensor.as<double>()[i] = value; return;
            case Dtype::int32: tensor.as<std::int32_t>()[i] = std::int32_t(value); return;
        }
    }

    template <class T>
    void reduce(T* values, std::int64_t count, ReduceOp op, const char* what, const std::string& text) {
        std::vector<T> result(values, values + count);
        meet("all_reduce", what, text, values, [&] {
            for (std::size_t r = 0; r < group_->offers.size(); ++r) {
                const T* other = static_cast<const T*>(group_->offers[r].data);
                for (std::int64_t i = 0; i < count; ++i) {
                    T& now = result[std::size_t(i)];
                    now = r == 0 ? other[i] : combine(op, now, other[i]);
                }
            }
        });
        std::copy(result.begin(), result.end(), values);
    }
    void reduce_bf16(Tensor data, ReduceOp op, const char* what) {
        std::vector<float> result(std::size_t(data.elements()));
        meet("all_reduce", what, data.describe(), data.data, [&] {
            for (std::size_t r = 0; r < group_->offers.size(); ++r)
                for (std::int64_t i = 0; i < data.elements(); ++i) {
                    const float other = element(group_->offers[r].data, Dtype::bf16, i);
                    float& now = result[std::size_t(i)];
                    now = r == 0 ? other : combine(op, now, other);
                }
        });
        for (std::int64_t i = 0; i < data.elements(); ++i) set_element(data, i, result[std::size_t(i)]);
    }

    int world_rank() const { return group_->members[std::size_t(rank_)]; }

    // Waits until condition() is true. The caller holds `lock`. Error(environment) after the time limit, or if another
    // rank has failed.
    template <class Condition>
    void wait(std::unique_lock<std::mutex>& lock, std::int64_t call, Condition&& condition) {
        Process& process = *group_->process;
        const auto start = std::chrono::steady_clock::now();
        process.waits_in[std::size_t(world_rank())] = text_of(shared_->calls.call(call));
        const auto ended = [&] { return condition() || process.failed; };
        const double limit = shared_->waits.timeout_seconds;
        bool in_time = true;
        if (limit > 0)
            in_time = process.changed.wait_for(lock, std::chrono::duration<double>(limit), ended);
        else
            process.changed.wait(lock, ended);
        waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        if (!condition()) give_up(call, in_time);
        process.waits_in[std::size_t(world_rank())].clear();
        shared_->calls.end(call);
    }

    [[noreturn]] void give_up(std::int64_t call, bool others_failed) {
        Process& process = *group_->process;
        const std::string text = text_of(shared_->calls.call(call));
        shared_->calls.write(shared_->waits.directory, world_rank());
        if (others_failed) fail(ExitCode::environment, "{} was ended: another rank has failed", text);
        std::string others;
        for (std::size_t r = 0; r < process.waits_in.size(); ++r) {
            if (int(r) == world_rank()) continue;
            others += process.waits_in[r].empty()
                          ? fmt::format("; no answer from rank {} (ended, or busy outside MPI)", r)
                          : fmt::format("; also waiting: rank {} in {}", r, process.waits_in[r]);
        }
        fail(ExitCode::environment, "{} has not finished within {} s (parallel.timeout_seconds){}", text,
             shared_->waits.timeout_seconds, others);
    }

    // Each rank stores `data` in the table. When all ranks have done so, each rank calls look() with the lock held.
    template <class Look>
    void meet(const char* op, const char* what, const std::string& text, const void* data, Look&& look) {
        const std::int64_t call = shared_->calls.begin(group_->name, op, what, text);
        Group& group = *group_;
        std::unique_lock lock(group.process->lock);
        CommCall mine = shared_->calls.call(call);
        mine.step = mine.micro_batch = -1;
        group.offers[std::size_t(rank_)] = {text_of(mine), data};
        arrive(lock, call);
        std::string differences;
        const bool same = std::all_of(group.offers.begin(), group.offers.end(),
                                      [&](const Offer& offer) { return offer.call == group.offers[0].call; });
        if (!same && shared_->waits.verify)
            for (std::size_t r = 0; r < group.offers.size(); ++r)
                differences += fmt::format("{}rank {} of the group calls {}", r ? "; " : "", r, group.offers[r].call);
        if (differences.empty()) look();
        arrive(lock, call);  // no rank's data may change before all ranks have called look()
        if (!differences.empty())
            fail(ExitCode::internal, "the ranks of {} make different calls: {}", group.name, differences);
    }

    void arrive(std::unique_lock<std::mutex>& lock, std::int64_t call) {
        Group& group = *group_;
        const std::int64_t round = group.round;
        if (++group.arrived == group.members.size()) {
            group.arrived = 0;
            ++group.round;
            group.process->changed.notify_all();
        }
        wait(lock, call, [&] { return group.round != round; });
    }

    std::unique_ptr<Transfer> post(bool sends, Tensor data, int peer, const char* what) {
        const std::int64_t call =
            shared_->calls.begin(group_->name, sends ? "send" : "receive", what,
                                 fmt::format("{} {} rank {}", data.describe(), sends ? "to" : "from", peer));
        const std::scoped_lock guard(group_->process->lock);
        Mailbox& box = group_->mail[sends ? std::pair(rank_, peer) : std::pair(peer, rank_)];
        // The oldest message without this end, or a new message.
        auto found = std::find_if(box.open.begin(), box.open.end(),
                                  [&](const auto& m) { return sends ? !m->has_sender : !m->has_receiver; });
        std::shared_ptr<Mail> mail = found != box.open.end() ? *found : box.open.emplace_back(std::make_shared<Mail>());
        if (sends) {
            mail->has_sender = true;
            mail->from = data.data;
            mail->sent_bytes = data.bytes();
        } else {
            mail->has_receiver = true;
            mail->to = data.data;
            mail->wanted_bytes = data.bytes();
        }
        if (mail->has_sender && mail->has_receiver) {
            copy(mail->to, mail->from, std::min(mail->sent_bytes, mail->wanted_bytes));
            mail->over = true;
            std::erase(box.open, mail);
            group_->process->changed.notify_all();
        }
        const auto settle = [this, mail, sends, call] {
            if (!sends && mail->sent_bytes != mail->wanted_bytes)
                fail(ExitCode::internal, "{}: received {} bytes, expected {}", text_of(shared_->calls.call(call)),
                     mail->sent_bytes, mail->wanted_bytes);
        };
        return std::make_unique<MailTransfer>(
            [this, mail] {
                const std::scoped_lock again(group_->process->lock);
                return mail->over;
            },
            [this, mail, call, settle] {
                std::unique_lock lock(group_->process->lock);
                wait(lock, call, [&] { return mail->over; });
                settle();
            });
    }

    std::shared_ptr<Group> group_;
    int rank_;
    std::shared_ptr<RankShared> shared_;
};

}  // namespace

void run_as_threads(int ranks, const std::function<void(Communicator& world)>& body) {
    auto process = std::make_shared<Process>();
    process->waits_in.resize(std::size_t(ranks));
    std::vector<int> members(static_cast<std::size_t>(ranks));
    for (int r = 0; r < ranks; ++r) members[std::size_t(r)] = r;
    const auto group = std::make_shared<Group>(process, members, "world");
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(ranks));
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; ++r)
        threads.emplace_back([&, r] {
            ThreadCommunicator world(group, r, std::make_shared<RankShared>());
            try {
                body(world);
            } catch (...) {
                errors[std::size_t(r)] = std::current_exception();
                const std::scoped_lock guard(process->lock);
                process->failed = true;
                process->changed.notify_all();
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
        if (error) std::rethrow_exception(error);
}

}  // namespace gpas
