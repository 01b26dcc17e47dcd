// What a run reports about itself: plain records, and the writer that sends them to console, JSONL and TensorBoard.
// docs/metrics.md lists every name.
#pragma once

#include "io/metrics/flops.hpp"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// Wall time of one step, of rank 0.
struct StepSeconds {
    double data = 0.0;
    double compute = 0.0;        // forward and backward
    double communication = 0.0;  // what no computation hid
    double optimizer = 0.0;
    double evaluation = 0.0;  // since the record before
    double checkpoint = 0.0;  // the same; what training waited
    double training() const { return data + compute + communication + optimizer; }
    double total() const { return training() + evaluation + checkpoint; }
};

struct StepMetrics {
    std::int64_t step = 0;  // steps done, this one included: the first is 1
    std::int64_t steps_total = 0;
    std::int64_t consumed_samples = 0;  // since the start of the run
    std::int64_t consumed_tokens = 0;
    // Tokens with a loss in the global batch. 0: there is nothing to measure; sinks write no loss, no perplexity and no
    // gradient norm.
    std::int64_t loss_tokens = 0;
    double loss = 0.0;  // mean over the loss tokens of the global batch, nats
    double learning_rate = 0.0;
    double gradient_norm = 0.0;       // global L2, before clipping
    double gate_gradient_norm = 0.0;  // L2 over all gates, before clipping
    bool clipped = false;
    bool gates_clipped = false;
    bool skipped = false;     // no update was done: bad numbers, a spike, or no loss tokens
    std::int64_t tokens = 0;  // of this step, over all ranks
    FlopsPerToken flops;
    double peak_flops = 0.0;  // per second, of all ranks together; 0: unknown, no MFU
    StepSeconds seconds;
    double seconds_left = -1.0;       // until the end of the run, evaluations and checkpoints included; < 0: unknown
    std::int64_t arena_bytes = 0;     // planned memory of rank 0
    std::int64_t resident_bytes = 0;  // of rank 0, as the system sees it

    double perplexity() const { return std::exp(loss); }
    // Speeds leave evaluation and checkpoints out.
    double tokens_per_second() const { return seconds.training() > 0 ? double(tokens) / seconds.training() : 0.0; }
    double flops_megatron() const { return flops.megatron * tokens_per_second(); }
    double flops_full() const { return flops.full * tokens_per_second(); }
    double mfu_megatron() const { return peak_flops > 0 ? flops_megatron() / peak_flops : 0.0; }
    double mfu_full() const { return peak_flops > 0 ? flops_full() / peak_flops : 0.0; }
};

struct EvalMetrics {
    std::int64_t step = 0;
    double loss = 0.0;        // mean over loss tokens, not over batches
    std::int64_t tokens = 0;  // with a loss; 0: nothing to measure, sinks write no loss and no perplexity
    double seconds = 0.0;
    double perplexity() const { return std::exp(loss); }
};

// Something to look up later: numbers that went wrong, and the action taken.
struct EventMetrics {
    std::int64_t step = 0;
    std::string event;       // "loss_spike"; docs/failures.md lists them
    std::string action;      // "skip"
    std::int64_t rank = -1;  // where it was, -1: not one rank
    std::string text;        // one line
};

struct GateReading {
    std::int64_t layer = 0;
    std::string site;    // "layer" for a gate of both sub-layers; "attention", "mlp"
    double raw = 0.0;    // g
    double value = 0.0;  // silu(g), or what the configured function makes of g
};

struct VarianceReading {
    std::int64_t layer = 0;
    std::string site;  // the residual stream after "attention" or "mlp"
    double variance = 0.0;
};

struct GpasMetrics {
    std::int64_t step = 0;
    std::vector<GateReading> gates;
    std::vector<VarianceReading> variances;
};

// Resident memory of this process now; 0 if the system does not report it.
std::int64_t resident_bytes();

// One destination of records. The destructor closes it.
class MetricsSink {
public:
    virtual ~MetricsSink() = default;
    virtual void write(const StepMetrics& metrics) = 0;
    virtual void write(const EvalMetrics& metrics) = 0;
    virtual void write(const GpasMetrics& metrics) = 0;
    virtual void write(const EventMetrics& metrics) = 0;
    virtual void flush() {}
};

struct MetricsOptions {
    std::filesystem::path directory;  // metrics.jsonl and tensorboard/ are made in it
    bool jsonl = true;
    bool tensorboard = true;
    bool console = true;            // lines on stderr
    std::int64_t every = 1;         // steps between records; the last step and skipped ones with a loss always appear
    std::int64_t resumed_step = 0;  // steps done before this start; later records of an earlier try are dropped
};

// Owns the sinks. Make it on rank 0 alone, or make it everywhere with enabled = false elsewhere. A sink that cannot
// write (disk full) is switched off with one line on stderr: metrics never end a run. Only construction throws:
// Error(environment).
class MetricsWriter {
public:
    explicit MetricsWriter(const MetricsOptions& options, bool enabled = true);
    ~MetricsWriter();
    MetricsWriter(MetricsWriter&&) noexcept;

    void add(std::unique_ptr<MetricsSink> sink);
    // seconds.evaluation and .checkpoint: since the step before. The record gets those since the record before.
    void write(StepMetrics metrics);
    void write(const EvalMetrics& metrics);
    void write(const GpasMetrics& metrics);
    void write(const EventMetrics& metrics);
    // To the disk: before each checkpoint, so that a resumed run finds all records up to its step.
    void flush();

private:
    void each(const std::function<void(MetricsSink&)>& act);

    std::int64_t every_;
    std::vector<std::unique_ptr<MetricsSink>> sinks_;
    double evaluation_seconds_ = 0.0;  // since the last record
    double checkpoint_seconds_ = 0.0;
};

}  // namespace gpas
