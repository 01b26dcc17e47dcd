// One training step: gradient of the mean loss of the global batch (over its tokens, or over its micro-batches:
// training.loss_mean), computed in micro-batches over the data-parallel ranks and through the pipeline; checks of the
// numbers; clipping; AdamW.
#pragma once

#include "base/step_number.hpp"
#include "engine/guard/rehearsed_numbers.hpp"
#include "engine/guard/step_guard.hpp"
#include "engine/step/gradient_sync.hpp"
#include "engine/step/pipeline.hpp"
#include "engine/step/step_clock.hpp"
#include "io/metrics/metrics.hpp"
#include "kernels/readback.hpp"
#include "parallel/watch/watcher.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gpas {

struct StepResult {
    StepAction action = StepAction::update;
    std::vector<EventMetrics> events;  // bad numbers, spikes, different weights, with actions; the same on every rank
    double loss = 0.0;                 // mean over the loss tokens of the global batch; 0 if loss_tokens is 0
    std::int64_t loss_tokens = 0;      // of the global batch
    double gradient_norm = 0.0;        // L2 norm of the mean gradient of all parameters, before clipping
    double gate_gradient_norm = 0.0;   // L2 norm of the mean gradient of all gates, before any clipping
    double learning_rate = 0.0;
    bool clipped = false;
    bool gates_clipped = false;
    bool replicas_agreed = false;          // replicas' weights were compared before the update, and are equal
    bool all_written = false;              // StepVote::written of all ranks
    StopRequest stop = StopRequest::none;  // the strongest StepVote::stop of all ranks
    // The next two: with StepInput::with_gpas_view only, of every layer, on every rank.
    // Moments of the residual stream after each sub-layer (attention and MLP of layer 0, of layer 1, …), in the last
    // micro-batch of this data-parallel rank, before the update.
    std::vector<Moments> stream;
    std::vector<float> gates;  // raw values g in the order of the model's parameters, after the update
    PhaseSeconds seconds;
};

// What a rank sends to all ranks at the end of a step.
struct StepVote {
    bool written = false;  // a save is under way, and this rank has written its whole part
    StopRequest stop = StopRequest::none;
};

struct StepInput {
    StepNumber step;                       // the step to compute
    UpdateNumber update;                   // the AdamW update that it makes
    std::int64_t first_sample = 0;         // of the global batch, in the sample stream
    bool with_gpas_view = false;           // fill StepResult::stream and gates
    std::function<StepVote()> vote = {};   // called once the loss is known
    const SpikeHistory* spikes = nullptr;  // recent steps, the same on every rank; null: no check for spikes
};

class TrainingStep {
public:
    // Keeps references to all arguments.
    TrainingStep(const RunConfig& config, Replica& replica, const SampleStream& samples, Mesh& mesh);

    // Computes one step. The result has the same bits on every rank, except `stream` and `seconds`. If the loss or the
    // gradient norm is NaN, Inf or a spike, or weights differ between replicas, the step takes the action that the
    // configuration asks for, and an event names step, rank and tensor. Collective over the world. On a GPU the whole
    // step is enqueued before the host waits once, for loss and norm; the update of an ordinary step may still run on
    // return. On every device the all-gather of weights may still run (ParameterStore::start_gather).
    StepResult run(const StepInput& input);

    std::int64_t micro_batches() const { return micro_batches_; }  // per rank and step

private:
    struct Computed {
        ComputedNumbers numbers;
        bool taken = false;  // the device decided for the update
    };
    void load_batches(std::int64_t first_sample);
    // compute() enqueues loss, gradient, their sums over the ranks and the device's decision on the update; numbers()
    // waits for them and fills the result's loss and norms.
    void compute(const StepInput& input, StepResult& result, std::vector<Moments>* moments, const UpdateRule& rule);
    Computed numbers(StepResult& result);
    UpdateRule rule_of(const StepInput& input, bool allowed) const;
    // Sets action, events and replicas_agreed, and the numbers if the step is computed again (StepGuard::judge).
    void judge(const StepInput& input, StepResult& result, const ComputedNumbers& first);
    void forward_backward(StepNumber step, std::vector<Moments>* moments, bool reduce);
    void count_votes(StepResult& result, const StepVote& vote);
    void measure_gradients();
    void sum_over_ranks();
    // Enqueues AdamW. only_if_taken: the device skips it if its decision was against the update; false: the decision
    // only supplies the gradient's factors (1/tokens and clipping).
    void update_weights(StepResult& result, UpdateNumber update, bool only_if_taken);
    // Parts of work.step_numbers, fp64: [1], [4], [update_numbers].
    Tensor own_loss() const { return replica_.memory().work.step_numbers.slice(0, 1); }
    Tensor sums() const { return replica_.memory().work.step_numbers.slice(1, 5); }
    Tensor decision() const { return replica_.memory().work.step_numbers.slice(5, 5 + update_numbers); }

    const RunConfig& config_;
    Replica& replica_;
    const SampleStream& samples_;
    Mesh& mesh_;
    std::int64_t micro_batches_;
    std::vector<Batch> batches_;
    Pipeline pipeline_;
    GradientSync sync_;
    Readback read_;  // work.step_numbers
    StepClock clock_;
    StepGuard guard_;
    RehearsedNumbers rehearsed_;
};

}  // namespace gpas
