// One training step: the global batch in micro-batches over the data-parallel ranks and through the pipeline, the mean
// gradient of its tokens, clipping, AdamW.
#pragma once

#include "engine/guard/rehearsed_numbers.hpp"
#include "engine/guard/spikes.hpp"
#include "engine/guard/verdict.hpp"
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
    std::vector<EventMetrics> events;  // what was noticed, the same on every rank; actions are filled in
    double loss = 0.0;                 // mean over the loss tokens of the global batch; 0 if there are none
    std::int64_t loss_tokens = 0;      // of the global batch
    double gradient_norm = 0.0;        // L2, of the mean gradient, before clipping
    double gate_gradient_norm = 0.0;   // the same of all gates, before any clipping
    double learning_rate = 0.0;
    bool clipped = false;
    bool gates_clipped = false;
    bool replicas_agreed = false;          // they were compared before the update, and are alike
    bool all_written = false;              // of the ranks' votes: all
    StopRequest stop = StopRequest::none;  // of the ranks' votes: the strongest
    // When asked for, of every layer, on every rank:
    std::vector<Moments> stream;  // of the residual stream after each sub-layer (attention and MLP of layer 0, of layer
                                  // 1, …), of this data-parallel rank's last micro-batch, before the update
    std::vector<float> gates;     // raw values in the order of the model's parameters, after the update
    PhaseSeconds seconds;
};

// What a rank lets all others know at the end of a step.
struct StepVote {
    bool written = false;  // it has nothing left to write of a checkpoint
    StopRequest stop = StopRequest::none;
};

struct StepInput {
    std::int64_t step = 0;    // of the run, from 0
    std::int64_t update = 1;  // of AdamW, from 1
    std::int64_t first_sample = 0;
    bool with_gpas_view = false;
    std::function<StepVote()> vote = {};   // asked when the loss is known
    const SpikeHistory* spikes = nullptr;  // what stands out; the same on every rank. Null: nothing does
};

class TrainingStep {
public:
    // Keeps references to all of them.
    TrainingStep(const RunConfig& config, Replica& replica, const SampleStream& samples, Mesh& mesh);

    // The same bits on every rank. NaN, Inf, spikes and weights that differ between replicas lead to the action that
    // the configuration asks for; an event tells step, rank and tensor. Collective over the world. On a GPU all of it
    // is enqueued before the host waits, once, for loss and norm, and an ordinary step's update may still be under way
    // on return. So may, everywhere, the gathering of weights (ParameterStore::start_gather).
    StepResult run(const StepInput& input);

    std::int64_t micro_batches() const { return micro_batches_; }  // of each rank

private:
    struct Computed {
        double own_loss = 0.0;       // Σ of this rank
        std::uint64_t bits[2] = {};  // of the global loss and gradient norm
        bool taken = false;          // the update, by the device
    };
    void load_batches(std::int64_t first_sample);
    // Of the global batch, in two parts. Enqueues loss, gradient, their sums over the ranks and the decision on the
    // update; and waits for it.
    void compute(const StepInput& input, StepResult& result, std::vector<Moments>* moments, const UpdateRule& rule);
    Computed numbers(StepResult& result);
    UpdateRule rule_of(const StepInput& input, bool allowed) const;
    // Sets action and events.
    void judge(const StepInput& input, StepResult& result, const Computed& first);
    bool replicas_agree(const StepInput& input, StepResult& result);
    bool differs_when_recomputed(const StepInput& input, StepResult& result, const Computed& first,
                                 const std::string& what);
    // Those that compute a loss together with this rank: the stages and tensor-parallel ranks of its copy of the model.
    std::vector<int> ranks_of_copy(int rank) const;
    void handle(StepResult& result, EventMetrics event, StepAction action);
    void forward_backward(std::int64_t step, std::vector<Moments>* moments, bool reduce);
    void count_votes(StepResult& result, const StepVote& vote);
    void measure_gradients();
    void sum_over_ranks();
    // Enqueued. only_if_taken: by the decision, which otherwise gives the gradient's factors alone.
    void update_weights(StepResult& result, std::int64_t update, bool only_if_taken);
    // The parts of work.step_numbers.
    Tensor own_loss() const { return replica_.memory().work.step_numbers.slice(0, 1); }
    Tensor sums() const { return replica_.memory().work.step_numbers.slice(1, 5); }
    Tensor decision() const { return replica_.memory().work.step_numbers.slice(5, 5 + update_numbers); }
    void gather_stream(StepResult& result, const std::vector<Moments>& mine);
    void gather_gates(StepResult& result);
    // Computes the step again, each rank its own gradients, to find which rank made the first bad number in which
    // tensor: of the weights, else of the forward pass in its order, else of the gradients in backward order.
    // `rank`: that one; unchanged if it is not known.
    std::string find_trouble(const StepInput& input, std::int64_t& rank);

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
    RehearsedNumbers rehearsed_;
};

}  // namespace gpas
