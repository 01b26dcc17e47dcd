// Reads the state of a run from its files, for observers such as `gpas top`; docs/metrics.md lists the files. A value
// that is missing, damaged or of another version is unknown. Only a directory that does not contain a run is an error.
#pragma once

#include "base/phase_seconds.hpp"
#include "io/metrics/line_follower.hpp"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

// Unknown numbers are NaN (floating point) or -1 (integers). Times are seconds since 1970.
inline constexpr double unknown_number = std::numeric_limits<double>::quiet_NaN();

struct LossPoint {
    std::int64_t step = 0;
    double loss = unknown_number;  // NaN also if the loss was NaN or Inf
};

// The record of a step; names as in docs/metrics.md.
struct StepView {
    std::int64_t step = -1;
    std::int64_t loss_tokens = -1;  // 0: no loss was measured
    double loss = unknown_number;
    double learning_rate = unknown_number;
    double gradient_norm = unknown_number;
    double gate_gradient_norm = unknown_number;
    double tokens_per_second = unknown_number;
    double mfu = unknown_number;  // mfu_megatron
    double consumed_tokens = unknown_number;
    double seconds_data = unknown_number;
    double seconds_compute = unknown_number;
    double seconds_communication = unknown_number;
    double seconds_optimizer = unknown_number;
    double seconds_evaluation = unknown_number;
    double seconds_checkpoint = unknown_number;
    double seconds_left = unknown_number;
    double arena_bytes = unknown_number;
    double resident_bytes = unknown_number;
    bool clipped = false;
    bool skipped = false;
};

struct EvalView {
    std::int64_t step = -1;
    double loss = unknown_number;
    std::int64_t tokens = -1;  // 0: no loss was measured
};

struct GateView {
    std::int64_t layer = -1;
    std::string site;
    double value = unknown_number;
};

struct VarianceView {
    std::int64_t layer = -1;
    std::string site;
    double value = unknown_number;
};

struct GpasView {
    std::int64_t step = -1;
    std::vector<GateView> gates;
    std::vector<VarianceView> variances;
};

struct EventView {
    std::int64_t step = -1;
    double time = unknown_number;
    std::string event;
    std::string action;
    std::int64_t rank = -1;
    std::string text;
};

struct RankView {
    std::int64_t rank = -1;
    std::int64_t stage = -1;  // of the pipeline; -1: unknown, as in files of earlier versions
    std::string host;
    std::int64_t pid = -1;
    std::string phase;
    std::int64_t step = -1;
    std::int64_t micro_batch = -1;
    std::string call;  // the communication call in which the rank is blocked; empty: not blocked
    double seconds_in_phase = unknown_number;
    double silent_seconds = unknown_number;
    // Per step, over recent steps.
    PhaseSeconds seconds{unknown_number, unknown_number, unknown_number, unknown_number};
};

struct LiveView {
    double time = unknown_number;
    double started = unknown_number;
    std::string state;
    std::string job;
    std::int64_t restart = -1;
    std::string host;
    std::string name;
    std::int64_t step = -1;
    std::int64_t steps_total = -1;
    std::int64_t exit_code = -1;
    std::vector<RankView> ranks;

    bool over() const { return state == "ended" || state == "failed"; }
};

struct CheckpointView {
    std::string name;
    double time = unknown_number;
    std::int64_t count = 0;  // checkpoints in the directory
    double bytes = 0.0;      // total size of these checkpoints
};

struct FailureView {
    std::string name;
    double time = unknown_number;
    std::string first_line;
    std::int64_t count = 0;
};

struct RunView {
    std::filesystem::path directory;
    // config.yaml
    std::string name;
    std::string architecture;
    std::int64_t steps_total = -1;
    double silent_limit = unknown_number;      // watch.silent_seconds
    double straggler_factor = unknown_number;  // watch.straggler_factor

    std::optional<LiveView> live;
    double news_age = unknown_number;  // seconds since live.json last changed

    // metrics.jsonl
    bool has_metrics = false;
    double record_age = unknown_number;       // seconds since metrics.jsonl last changed
    std::vector<LossPoint> losses;            // of every recorded step with loss tokens
    std::vector<StepView> recent;             // the last recorded steps, newest last
    std::optional<EvalView> evaluation;       // the last evaluation
    std::optional<EvalView> best_evaluation;  // the evaluation with the lowest loss
    std::vector<GateView> gates;              // of the last record of gates
    std::vector<EventView> events;            // the last events, newest last

    std::optional<CheckpointView> checkpoint;  // the newest checkpoint
    std::optional<FailureView> failure;        // the newest failure report

    std::int64_t step() const;        // number of steps done; -1: unknown
    std::int64_t total() const;       // number of steps of the whole run; -1: unknown
    double seconds_per_step() const;  // mean of the recent steps, including evaluations and checkpoints
};

// Whether this looks like the directory of a run: it contains at least one of a run's files.
bool is_run_directory(const std::filesystem::path& directory);

class RunReader {
public:
    // Error(bad_file) if is_run_directory(directory) is false.
    explicit RunReader(std::filesystem::path directory);

    // The present state of the files. From the second call on, reads only new lines of metrics.jsonl and files that
    // have changed. `now`: seconds since 1970. The reference is valid until the next call.
    const RunView& read(double now);

private:
    void read_config();
    void read_live(double now);
    void read_metrics(double now);
    void take_record(std::string_view line);
    void read_checkpoints();
    void read_failures();

    RunView view_;
    LineFollower metrics_;
    double config_time_ = unknown_number;
    std::string live_text_;
    double live_changed_ = unknown_number;  // when this reader saw live.json change, by its own clock; NaN: never
    std::int64_t metrics_position_ = -1;
    double metrics_changed_ = unknown_number;
    std::vector<std::string> recent_lines_;  // ring buffer of the last step records
    std::size_t recent_count_ = 0;
    std::string gates_line_;
};

}  // namespace gpas
