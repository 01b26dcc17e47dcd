// Records of a run's metrics, and the writer that sends them to console, JSONL and TensorBoard. docs/metrics.md lists
// every name.
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

// Wall time of one step on rank 0.
struct StepSeconds {
    double data = 0.0;
    double compute = 0.0;        // forward and backward
    double communication = 0.0;  // not overlapped with computation
    double optimizer = 0.0;
    double evaluation = 0.0;  // since the previous record
    double checkpoint = 0.0;  // since the previous record; only the time that training waited
    double training() const { return data + compute + communication + optimizer; }
    double total() const { return training() + evaluation + checkpoint; }
};

struct StepMetrics {
    std::int64_t step = 0;  // number of steps done, including this step; from 1
    std::int64_t steps_total = 0;
    std::int64_t consumed_samples = 0;  // since the start of the run
    std::int64_t consumed_tokens = 0;
    // Tokens with a loss in the global batch. If it is 0, sinks write no loss, no perplexity and no gradient norm.
    std::int64_t loss_tokens = 0;
    double loss = 0.0;  // mean over the loss tokens of the global batch, nats
    double learning_rate = 0.0;
    double gradient_norm = 0.0;       // global L2, before clipping
    double gate_gradient_norm = 0.0;  // L2 over all gates, before clipping
    bool clipped = false;
    bool gates_clipped = false;
    bool skipped = false;     // no optimizer update, because of bad numbers, a spike or no loss tokens
    std::int64_t tokens = 0;  // of this step, over all ranks
    FlopsPerToken flops;
    double peak_flops = 0.0;  // FLOP/s of all ranks together; 0: unknown, and MFU is 0
    StepSeconds seconds;
    double seconds_left = -1.0;       // until the end of the run, including evaluations and checkpoints; < 0: unknown
    std::int64_t arena_bytes = 0;     // planned memory of rank 0
    std::int64_t resident_bytes = 0;  // resident memory (RSS) of rank 0's process

    double perplexity() const { return std::exp(loss); }
    // Speeds exclude the time of evaluations and checkpoints.
    double tokens_per_second() const { return seconds.training() > 0 ? double(tokens) / seconds.training() : 0.0; }
    double flops_megatron() const { return flops.megatron * tokens_per_second(); }
    double flops_full() const { return flops.full * tokens_per_second(); }
    double mfu_megatron() const { return peak_flops > 0 ? flops_megatron() / peak_flops : 0.0; }
    double mfu_full() const { return peak_flops > 0 ? flops_full() / peak_flops : 0.0; }
};

struct EvalMetrics {
    std::int64_t step = 0;
    double loss = 0.0;        // mean over loss tokens, not over batches; nats
    std::int64_t tokens = 0;  // with a loss; if it is 0, sinks write no loss and no perplexity
    double seconds = 0.0;
    double perplexity() const { return std::exp(loss); }
};

// A share of questions, from 0 to 1, and its standard error.
struct TaskShare {
    double value = 0.0;
    double standard_error = 0.0;
};

// The scores of a file of multiple-choice questions; choice_scores.hpp defines them.
struct TaskMetrics {
    std::int64_t step = 0;
    std::string task;
    std::int64_t questions = 0;
    TaskShare acc, acc_norm, acc_bytes;
    double bits_per_byte = 0.0;  // of the right choices
    double seconds = 0.0;        // of the task's evaluation
};

// An event, such as a loss spike, and the action that the run took.
struct EventMetrics {
    std::int64_t step = 0;
    std::string event;       // "loss_spike"; docs/failures.md lists them
    std::string action;      // "skip"
    std::int64_t rank = -1;  // the rank concerned; -1: not a single rank
    std::string text;        // one line
};

struct GateReading {
    std::int64_t layer = 0;
    std::string site;    // "attention" or "mlp"; "layer" if both sub-layers share the gate
    double raw = 0.0;    // g
    double value = 0.0;  // s(g) with the configured gate function s, such as silu(g)
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

// A destination of records. write() and flush() throw Error(environment) on failure; the destructor closes the
// destination.
class MetricsSink {
public:
    virtual ~MetricsSink() = default;
    virtual void write(const StepMetrics& metrics) = 0;
    virtual void write(const EvalMetrics& metrics) = 0;
    virtual void write(const TaskMetrics& metrics) = 0;
    virtual void write(const GpasMetrics& metrics) = 0;
    virtual void write(const EventMetrics& metrics) = 0;
    virtual void flush() {}
};

struct MetricsOptions {
    std::filesystem::path directory;  // metrics.jsonl and tensorboard/ are made in it
    bool jsonl = true;
    bool tensorboard = true;
    bool console = true;            // lines on stderr
    std::int64_t every = 1;         // steps between records; the last step and skipped steps with a loss always appear
    std::int64_t resumed_step = 0;  // steps done before this start; older records of later steps are dropped
};

// Owns the sinks. Construct it on rank 0 only, or on every rank with enabled = false on all ranks but rank 0. If a sink
// cannot write (disk full), it is switched off with one line on stderr: metrics never end a run. Only the constructor
// throws: Error(environment).
class MetricsWriter {
public:
    explicit MetricsWriter(const MetricsOptions& options, bool enabled = true);
    ~MetricsWriter();
    MetricsWriter(MetricsWriter&&) noexcept;

    void add(std::unique_ptr<MetricsSink> sink);
    // metrics.seconds.evaluation and .checkpoint are those since the previous step. The writer adds them up, so that
    // the record contains those since the previous record.
    void write(StepMetrics metrics);
    void write(const EvalMetrics& metrics);
    void write(const TaskMetrics& metrics);
    void write(const GpasMetrics& metrics);
    void write(const EventMetrics& metrics);
    // Syncs all records to disk. Called before each checkpoint, so that a resumed run finds all records up to its step.
    void flush();

private:
    void each(const std::function<void(MetricsSink&)>& act);

    std::int64_t every_;
    std::vector<std::unique_ptr<MetricsSink>> sinks_;
    double evaluation_seconds_ = 0.0;  // since the last record
    double checkpoint_seconds_ = 0.0;
};

}  // namespace gpas
