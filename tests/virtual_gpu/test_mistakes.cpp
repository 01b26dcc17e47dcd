// Mutation tests: do the virtual GPUs detect a mistake in gpas's use of CUDA and NCCL? Three ranks, which are threads
// of this process, exchange sums and messages that overlap computations. The job runs once without a mistake, and once
// for each place at which an event, a wait or an NCCL call can be left out or be wrong. Each of these runs must give a
// finding, an error, or different numbers.
#include "kernels/cuda/gpu.hpp"
#include "kernels/ops.hpp"
#include "parallel/nccl/nccl_communicator.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/thread_communicator.hpp"
#include "tests/virtual_gpu/device.hpp"
#include "tests/virtual_gpu/findings.hpp"
#include "tests/virtual_gpu/mistakes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <string>
#include <vector>

namespace gpas::virtual_gpu {
namespace {

constexpr int ranks = 3;
constexpr std::int64_t elements = 3 * 96;
constexpr int rounds = 2;
constexpr int erring_rank = 1;
constexpr double patient = 60.0, impatient = 1.0;  // timeout_seconds without and with a planted mistake

using test_support::exhaustive;

// One rank's part of the job.
class Job {
public:
    explicit Job(Communicator& world)
        : rank_(world.rank()),
          context_(1, Arena(1 << 18, Device_cuda())),
          arena_(1 << 18, Device_cuda()),
          session_(make_nccl_session(context_, world.shared())) {
        data_ = make_nccl_communicator(world.duplicate(), context_, NcclUse::collectives, "data", session_);
        forward_ = make_nccl_communicator(world.duplicate(), context_, NcclUse::messages_to_next, "forward", session_);
        backward_ =
            make_nccl_communicator(world.duplicate(), context_, NcclUse::messages_to_previous, "backward", session_);
    }

    std::vector<float> run() {
        for (int round = 0; round < rounds; ++round) {
            sum(float(round));
            share();
            pass_on();
        }
        std::vector<float> values;
        for (const Tensor& tensor : {x_, whole_, arrived_, returned_}) append(values, tensor);
        return values;
    }

private:
    static gpas::Device Device_cuda() { return gpas::Device::cuda; }

    // x = 2 Σ over ranks of (rank + 1 + round)
    void sum(float round) {
        fill(context_, x_, float(rank_ + 1) + round);
        data_->all_reduce(x_, ReduceOp::sum, "x");
        scale(context_, x_, 2.0F);
    }
    // A reduce-scatter that overlaps a computation on other memory, then an all-gather.
    void share() {
        const auto reduced = data_->start_reduce_scatter(part_, x_, "part");
        fill(context_, other_, 5.0F);
        reduced->wait();
        scale(context_, part_, 0.5F);
        const auto gathered = data_->start_all_gather(whole_, part_, "whole");
        scale(context_, other_, 2.0F);
        gathered->wait();
        scale(context_, whole_, 3.0F);
        add(x_, whole_);
    }
    // Messages to the next rank of the ring and back, each overlapping a computation. Buffers are reused when their
    // message has left.
    void pass_on() {
        const int next = (rank_ + 1) % ranks, previous = (rank_ + ranks - 1) % ranks;
        fill(context_, arrived_, 7.0F);
        fill(context_, returned_, 7.0F);
        const auto sent = forward_->start_send(x_, next, "x");
        const auto received = forward_->start_receive(arrived_, previous, "x");
        scale(context_, other_, 0.5F);
        received->wait();
        scale(context_, arrived_, 0.25F);
        const auto sent_back = backward_->start_send(arrived_, previous, "back");
        const auto received_back = backward_->start_receive(returned_, next, "back");
        sent->wait();
        fill(context_, x_, 1.0F);
        received_back->wait();
        add(x_, returned_);
        sent_back->wait();
        scale(context_, arrived_, 2.0F);
    }
    void add(Tensor to, Tensor from) {
        copy(context_, other_, from);
        scale(context_, to, 0.5F);
        cast(context_, to, other_);
    }
    void append(std::vector<float>& values, const Tensor& tensor) {
        std::vector<float> mine(static_cast<std::size_t>(tensor.elements()));
        copy(context_, Tensor(mine.data(), Dtype::fp32, {tensor.elements()}), tensor);
        values.insert(values.end(), mine.begin(), mine.end());
    }

    int rank_;
    Context context_;
    Arena arena_;
    std::shared_ptr<NcclSession> session_;
    std::unique_ptr<Communicator> data_, forward_, backward_;
    Tensor x_ = arena_.allocate(Dtype::fp32, {elements}), whole_ = arena_.allocate(Dtype::fp32, {elements}),
           part_ = arena_.allocate(Dtype::fp32, {elements / ranks}), other_ = arena_.allocate(Dtype::fp32, {elements}),
           arrived_ = arena_.allocate(Dtype::fp32, {elements}), returned_ = arena_.allocate(Dtype::fp32, {elements});
};

struct Kind {
    Mistake mistake;
    const char* name;
};
const Kind kinds[] = {{Mistake::no_record, "an event that is not recorded"},
                      {Mistake::no_wait, "a stream that does not wait"},
                      {Mistake::no_synchronize, "a host that does not wait"},
                      {Mistake::other_count, "another count"},
                      {Mistake::other_type, "another type"},
                      {Mistake::left_out, "a call left out"},
                      {Mistake::other_operation, "another operation"},
                      {Mistake::swapped, "a call after the next one"}};

struct Outcome {
    std::array<std::vector<float>, ranks> values;
    std::map<Mistake, int> first;  // index of the first place after the start of the groups
    std::string error;
    std::vector<std::string> findings;
};

Outcome run_job(double timeout_seconds) {
    Outcome outcome;
    try {
        run_as_threads(ranks, [&](Communicator& world) {
            cuda::choose_device(world.rank());
            world.waits().timeout_seconds = timeout_seconds;
            Job job(world);
            if (world.rank() == erring_rank)
                for (const Kind& kind : kinds) outcome.first[kind.mistake] = places(kind.mistake, erring_rank);
            outcome.values[std::size_t(world.rank())] = job.run();
        });
    } catch (const std::exception& error) {
        outcome.error = error.what();
    }
    outcome.findings = take_findings();
    return outcome;
}

void set_up() {
    forget_devices();
    use({.scheduler = Scheduler::random, .queues = 32, .lazy_modules = false, .hang_seconds = 0.5});
}

// A send may be swapped with the receive after it, because neither waits for the other. The fourth and the sixth of the
// seven calls of a round are sends.
bool harmless(Mistake mistake, int index) { return mistake == Mistake::swapped && (index % 7 == 3 || index % 7 == 5); }

// Plants the mistake at each place of the job; without --exhaustive at six places or a few more. Returns their number.
int plant_everywhere(const Kind& kind, const Outcome& right) {
    plant(Mistake::none, 0, 0);
    set_up();
    const int begin = run_job(patient).first.at(kind.mistake), end = places(kind.mistake, erring_rank);
    const int step = exhaustive() ? 1 : std::max((end - begin) / 6, 1);
    int count = 0;
    for (int index = begin; index < end; index += step) {
        if (harmless(kind.mistake, index)) continue;
        set_up();
        plant(kind.mistake, erring_rank, index);
        const Outcome outcome = run_job(impatient);
        if (!was_planted()) continue;  // the number of places varies between runs, because hosts poll
        ++count;
        EXPECT_TRUE(!outcome.findings.empty() || !outcome.error.empty() || outcome.values != right.values)
            << kind.name << ", place " << index << " of " << begin << " to " << end;
    }
    return count;
}

TEST(Mistakes, are_noticed) {
    plant(Mistake::none, 0, 0);
    set_up();
    const Outcome right = run_job(patient);
    ASSERT_EQ(right.error, "");
    ASSERT_EQ(right.findings, std::vector<std::string>());
    int planted = 0;
    for (const Kind& kind : kinds) planted += plant_everywhere(kind, right);
    EXPECT_GE(planted, 30);
    RecordProperty("planted", planted);
    plant(Mistake::none, 0, 0);
    forget_devices();
}

}  // namespace
}  // namespace gpas::virtual_gpu
