// Judges each step by its numbers: NaN and Inf, spikes, and copies of weights that differ. Distinguishes failing hardware
// from bad data by computing the step again.
#pragma once

#include "base/step_number.hpp"
#include "engine/guard/verdict.hpp"
#include "engine/model/number_probe.hpp"
#include "engine/model/parameters.hpp"
#include "io/metrics/metrics.hpp"
#include "parallel/mesh.hpp"

#include <functional>
#include <string>
#include <vector>

namespace gpas {

// The step that is judged. The same on every rank.
struct JudgedStep {
    StepNumber number;
    std::int64_t first_sample = 0;         // of the global batch, in the sample stream
    const SpikeHistory* spikes = nullptr;  // recent steps; null: no check for spikes
};

struct ComputedNumbers {
    StepNumbers whole;      // after the sums over the ranks; the same on every rank
    double own_loss = 0.0;  // Σ of this rank's tokens
};

// How to compute the judged step once more, on the same data and weights. Every rank calls the same function.
struct StepAgain {
    std::function<ComputedNumbers()> numbers;  // the whole step, without the update; its numbers replace the first ones
    // The forward passes only, with the probe. Returns this rank's Σ of the tokens' losses, 0 before the last stage.
    std::function<double(NumberProbe&)> forward;
    // Gradients without sums over data-parallel ranks; the store then holds them.
    std::function<void()> gradients;
};

struct Verdict {
    StepAction action = StepAction::update;
    std::vector<EventMetrics> events;  // bad numbers, spikes, different weights, with actions
    bool replicas_agreed = false;      // the replicas' weights were compared, and are equal
};

// Not thread-safe.
class StepGuard {
public:
    // Keeps references.
    StepGuard(const RunConfig& config, Context& context, const ParameterStore& store, Mesh& mesh)
        : config_(config), context_(context), store_(store), mesh_(mesh) {}

    // True if replicas are compared at this step even if its numbers are good (guard.weights_every).
    bool compares_at(StepNumber step) const { return step.is_multiple_of(config_.guard.weights_every); }
    // If the numbers are NaN, Inf or a spike, or weights differ between replicas: the action that the configuration
    // asks for, and events that name step, rank and tensor. If the step computed again gives other numbers, those are
    // judged instead. To be called before the weights change. The same verdict on every rank. Collective over the world.
    Verdict judge(const JudgedStep& step, const ComputedNumbers& computed, const StepAgain& again) const;

private:
    bool replicas_agree(const JudgedStep& step, Verdict& verdict) const;
    bool differs(const JudgedStep& step, const ComputedNumbers& first, const ComputedNumbers& second,
                 const std::string& what, Verdict& verdict) const;
    EventMetrics bad_numbers(const JudgedStep& step, const StepAgain& again, const std::string& numbers) const;
    // All ranks of the copy of the model that `rank` belongs to: pipeline stages and tensor-parallel ranks.
    std::vector<int> ranks_of_copy(int rank) const;

    const RunConfig& config_;
    Context& context_;
    const ParameterStore& store_;
    Mesh& mesh_;
};

}  // namespace gpas
