// The final numbers of a run, for the report's table.
#pragma once

#include "engine/report/json_values.hpp"
#include "io/metrics/run_history.hpp"

namespace gpas {

// Seconds of a run by phase. Steps without a record (metrics.every) count with the times of the next record. The time
// of evaluations and saves after the last record is not included, as in the records. Pure.
struct RunSeconds {
    double data = 0.0;
    double compute = 0.0;
    double communication = 0.0;
    double optimizer = 0.0;
    double evaluation = 0.0;
    double checkpoint = 0.0;
    double total() const { return data + compute + communication + optimizer + evaluation + checkpoint; }
};
RunSeconds seconds_by_phase(const RunHistory& history);

// Members; null if unknown. Losses in nats.
//   steps, tokens; training_loss (mean of the last `training_records` records with a loss)
//   validation_loss, validation_step (last evaluation); best_validation_loss, best_validation_step
//   tokens_per_second, mfu (medians of the records; 0 is unknown); resident_bytes (largest); skipped (recorded steps)
//   seconds: {data, compute, communication, optimizer, evaluation, checkpoint, total}
// Pure.
ReportJson numbers_json(const RunHistory& history);

}  // namespace gpas
