// One training step: the global batch in micro-batches over the data-parallel ranks, the mean gradient of its tokens,
// clipping, AdamW.
#pragma once

#include "engine/training/replica.hpp"
#include "parallel/communicator.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

struct PhaseSeconds {
    double data = 0.0;
    double compute = 0.0;        // forward and backward
    double communication = 0.0;  // waiting for and moving gradients
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
    bool skipped = false;         // NaN or Inf, and the run is configured to go on
    std::string trouble;          // where they were, when skipped
    std::vector<Moments> stream;  // of the residual stream after every sub-layer, when asked for: of rank 0's last
                                  // micro-batch, before the update
    PhaseSeconds seconds;
};

class TrainingStep {
public:
    // Keeps references to all of them.
    TrainingStep(const RunConfig& config, Replica& replica, const SampleStream& samples, Communicator& data_group);

    // Step `step` (from 0) of the run, as its update number `update` (from 1) of AdamW. The same bits on every rank.
    // Error(bad_numbers) on every rank, naming step, rank and tensor, where NaN or Inf turns up and the run is to stop.
    StepResult run(std::int64_t step, std::int64_t update, bool with_stream_moments = false);

    std::int64_t micro_batches() const { return micro_batches_; }  // of each rank

private:
    struct Sums {
        double loss = 0.0;
        std::int64_t tokens = 0;
    };
    Sums forward_backward(std::int64_t step, PhaseSeconds& seconds);
    void reduce(Sums& sums, PhaseSeconds& seconds);
    void measure_gradients(StepResult& result);
    void update_weights(StepResult& result, std::int64_t update);
    // Computes the step's gradients again, each rank for itself, to find who made the first bad number of which tensor.
    std::string find_trouble(std::int64_t step);
    std::string local_trouble(std::int64_t step);

    const RunConfig& config_;
    Replica& replica_;
    const SampleStream& samples_;
    Communicator& data_group_;
    std::int64_t micro_batches_;
    Batch batch_;
};

}  // namespace gpas
