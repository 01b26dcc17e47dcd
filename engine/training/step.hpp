// One training step: the global batch in micro-batches over the data-parallel ranks and through the pipeline, the mean
// gradient of its tokens, clipping, AdamW.
#pragma once

#include "engine/training/gradient_sync.hpp"
#include "engine/training/pipeline.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

struct PhaseSeconds {
    double data = 0.0;
    double compute = 0.0;        // forward and backward
    double communication = 0.0;  // waiting for other ranks, in and after forward and backward
    double optimizer = 0.0;
    double total() const { return data + compute + communication + optimizer; }
};

struct StepResult {
    double loss = 0.0;                // mean over the loss tokens of the global batch
    std::int64_t loss_tokens = 0;     // of the global batch
    double gradient_norm = 0.0;       // L2, of the mean gradient, before clipping
    double gate_gradient_norm = 0.0;  // the same of all gates, before any clipping
    double learning_rate = 0.0;
    bool clipped = false;
    bool gates_clipped = false;
    bool skipped = false;    // NaN or Inf, and the run is configured to go on
    std::string trouble;     // where they were, when skipped
    bool all_agree = false;  // every rank passed `vote`
    // When asked for, of every layer, on every rank:
    std::vector<Moments> stream;  // of the residual stream after each sub-layer (attention and MLP of layer 0, of layer
                                  // 1, …), of this data-parallel rank's last micro-batch, before the update
    std::vector<float> gates;     // raw values in the order of the model's parameters, after the update
    PhaseSeconds seconds;
};

class TrainingStep {
public:
    // Keeps references to all of them.
    TrainingStep(const RunConfig& config, Replica& replica, const SampleStream& samples, Mesh& mesh);

    // Step `step` (from 0) of the run, as its update number `update` (from 1) of AdamW. The same bits on every rank.
    // Error(bad_numbers) on every rank, naming step, rank and tensor, where NaN or Inf turns up and the run is to stop.
    // vote: of this rank, on whatever the caller wants to know of all; it travels with the loss.
    StepResult run(std::int64_t step, std::int64_t update, bool with_gpas_view = false, bool vote = false);

    std::int64_t micro_batches() const { return micro_batches_; }  // of each rank

private:
    struct Sums {
        double loss = 0.0;
        double tokens = 0.0;
        bool all_agree = false;
    };
    void load_batches(std::int64_t step);
    double forward_backward(std::int64_t step, std::vector<Moments>* moments, bool reduce);
    Sums sum_over_ranks(double loss, bool vote);
    void measure_gradients(StepResult& result);
    void update_weights(StepResult& result, std::int64_t update);
    void gather_stream(StepResult& result, const std::vector<Moments>& mine);
    void gather_gates(StepResult& result);
    // Computes the step's gradients again, each rank its own, to find who made the first bad number of which tensor.
    std::string find_trouble(std::int64_t step);
    std::string local_trouble(double loss);

    const RunConfig& config_;
    Replica& replica_;
    const SampleStream& samples_;
    Mesh& mesh_;
    std::int64_t micro_batches_;
    std::vector<Batch> batches_;
    Pipeline pipeline_;
    GradientSync sync_;
};

}  // namespace gpas
