// Prints records as lines on stderr.
#pragma once

#include "io/metrics/metrics.hpp"

#include <cstdio>

namespace gpas {

// "step   120/10000   1.2%  loss 7.1034  ppl 1216  lr 6.00e-04  grad 0.812 ..."; the columns of all steps are aligned.
// "no tokens" replaces loss and perplexity if no token has a loss.
std::string console_line(const StepMetrics& metrics);
std::string console_line(const EvalMetrics& metrics);
std::string console_line(const EventMetrics& metrics);
// "acc 0.4120 +/- 0.0110  acc_norm ...  acc_bytes ...  bits/byte 1.2345  2376 questions"
std::string task_text(const TaskMetrics& metrics);
// "task arc_easy at step 500  " and task_text()
std::string console_line(const TaskMetrics& metrics);

class ConsoleSink final : public MetricsSink {
public:
    explicit ConsoleSink(std::FILE* out = stderr) : out_(out) {}
    void write(const StepMetrics& metrics) override;
    void write(const EvalMetrics& metrics) override;
    void write(const TaskMetrics& metrics) override;
    void write(const GpasMetrics&) override {}
    void write(const EventMetrics& metrics) override;

private:
    std::FILE* out_;
};

}  // namespace gpas
