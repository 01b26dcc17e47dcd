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

class ConsoleSink final : public MetricsSink {
public:
    explicit ConsoleSink(std::FILE* out = stderr) : out_(out) {}
    void write(const StepMetrics& metrics) override;
    void write(const EvalMetrics& metrics) override;
    void write(const GpasMetrics&) override {}
    void write(const EventMetrics& metrics) override;

private:
    std::FILE* out_;
};

}  // namespace gpas
