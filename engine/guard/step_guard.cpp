#include "engine/guard/step_guard.hpp"

#include "engine/guard/trouble.hpp"
#include "engine/guard/weight_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace gpas {
namespace {

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

void handle(Verdict& verdict, EventMetrics event, StepAction action) {
    if (event.action.empty()) event.action = event_action_of(action);
    verdict.action = action;
    verdict.events.push_back(std::move(event));
}

}  // namespace

std::vector<int> StepGuard::ranks_of_copy(int rank) const {
    const MeshOrder order = config_.parallel.order;
    std::vector<int> ranks;
    for (int other = 0; other < mesh_.world->size(); ++other)
        if (place_of(other, mesh_.size, order).data == place_of(rank, mesh_.size, order).data) ranks.push_back(other);
    return ranks;
}

// Whether the numbers of the step computed again differ. Bad data gives the same numbers again; hardware with transient
// failures does not. what: why the step was computed again, for the event.
bool StepGuard::differs(const JudgedStep& step, const ComputedNumbers& first, const ComputedNumbers& second,
                        const std::string& what, Verdict& verdict) const {
    if (same_bits(first.whole.loss, second.whole.loss) &&
        same_bits(first.whole.gradient_norm, second.whole.gradient_norm))
        return false;
    std::int64_t rank = same_bits(first.own_loss, second.own_loss) ? mesh_.world->size() : mesh_.world->rank();
    mesh_.world->all_reduce(&rank, 1, ReduceOp::min, "the rank that computes differently");
    const bool known = rank < mesh_.world->size();
    const std::vector<int> suspects = known ? ranks_of_copy(int(rank)) : std::vector<int>{};
    handle(verdict,
           {.step = step.number.from_1,
            .event = "hardware",
            .action = "recomputed",
            .rank = suspects.size() == 1 ? rank : -1,
            .text = fmt::format("{}, but computed again on the same data loss {:.9g} becomes {:.9g} and gradient norm "
                                "{:.9g} becomes {:.9g}: {} computes wrong results intermittently",
                                what, first.whole.loss, second.whole.loss, first.whole.gradient_norm,
                                second.whole.gradient_norm,
                                suspects.size() == 1 ? fmt::format("the hardware of rank {}", rank)
                                : known ? fmt::format("the hardware of one of ranks {}", fmt::join(suspects, ", "))
                                        : "the hardware of some rank, in backward or in a message,")},
           StepAction::update);
    return true;
}

// Compares the replicas' weights that this step used. False: they differ, and `verdict` has the event and the action.
bool StepGuard::replicas_agree(const JudgedStep& step, Verdict& verdict) const {
    const auto difference = compare_replicas(context_, store_, mesh_, config_.parallel.order);
    verdict.replicas_agreed = !difference;
    if (difference)
        handle(verdict,
               {.step = step.number.from_1,
                .event = "different_weights",
                .rank = difference->ranks.size() == 1 ? difference->ranks.front() : -1,
                .text = difference->text},
               action_on(config_.guard.on_different_weights));
    return verdict.replicas_agreed;
}

// The event of a step with bad numbers. Computes the step again, without sums over the data-parallel ranks, to find the
// rank and tensor of the first bad number: in the weights, else in the forward pass in its order, else in the gradients
// in backward order.
EventMetrics StepGuard::bad_numbers(const JudgedStep& step, const StepAgain& again, const std::string& numbers) const {
    const auto samples_of = [&](std::int64_t micro_batch) {
        const std::int64_t micro = config_.training.micro_batch_size;
        const std::int64_t first = step.first_sample + (micro_batch * mesh_.size.data + mesh_.place.data) * micro;
        return micro == 1 ? fmt::format("micro-batch {}, sample {}", micro_batch, first)
                          : fmt::format("micro-batch {}, samples {} to {}", micro_batch, first, first + micro - 1);
    };
    const auto in_weights = [&] { return bad_weight(context_, store_); };
    const auto in_forward = [&]() -> Trouble {
        NumberProbe probe;
        const double loss = again.forward(probe);
        const NumberProbe::Found& found = probe.found();
        if (found.position >= 0)
            return {found.position, fmt::format("{} ({})", found.text, samples_of(found.micro_batch))};
        if (!mesh_.last_stage() || std::isfinite(loss)) return {};
        return {std::numeric_limits<std::int32_t>::max(), fmt::format("the loss is {}", number_text(loss))};
    };
    const auto in_backward = [&] {
        again.gradients();
        return bad_gradient(context_, store_);
    };
    EventMetrics event{.step = step.number.from_1, .event = "bad_numbers"};
    // In this order, since a bad number makes all later ones bad, on all ranks.
    for (const std::function<Trouble()>& look : {std::function<Trouble()>(in_weights), {in_forward}, {in_backward}})
        if (const auto found = first_of_all(mesh_, config_.parallel.order, look())) {
            event.rank = found->rank;
            event.text = numbers + ": " + found->text;
            return event;
        }
    event.text = numbers + ": only in the sum over ranks: a gradient overflowed fp32";
    return event;
}

Verdict StepGuard::judge(const JudgedStep& step, const ComputedNumbers& computed, const StepAgain& again) const {
    Verdict verdict;
    Suspicion suspicion = suspicion_of(computed.whole, step.spikes);
    if ((suspicion || compares_at(step.number)) && config_.guard.weights_every > 0 && !replicas_agree(step, verdict))
        return verdict;
    if (!suspicion) return verdict;
    if (config_.guard.recompute) {
        const ComputedNumbers second = again.numbers();
        if (differs(step, computed, second, suspicion.text, verdict)) {
            suspicion = suspicion_of(second.whole, step.spikes);
            if (!suspicion) return verdict;
        } else {
            suspicion.text +=
                fmt::format(" (the same bits when computed again: samples {} to {} or the run itself, not hardware)",
                            step.first_sample, step.first_sample + config_.training.global_batch_size - 1);
        }
    }
    if (suspicion.bad)
        handle(verdict, bad_numbers(step, again, suspicion.text), action_on(config_.training.on_bad_numbers));
    else
        handle(verdict, {.step = step.number.from_1, .event = suspicion.spike.event, .text = suspicion.text},
               action_on(config_.guard.on_spike));
    return verdict;
}

}  // namespace gpas
