// Shows the progress of long work: a bar that redraws itself on a terminal, or a plain line now and then if the output
// is not a terminal.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

namespace gpas {

// "tokenising  [#######.............]  35%  3.50M/10.0M lines  eta 1m12s"
std::string progress_text(const std::string& label, std::int64_t done, std::int64_t total, const std::string& unit,
                          double elapsed_seconds);

class ProgressBar {
public:
    // `label`: name of the work. `unit`: name of the counted items ("samples"). If total is 0 (unknown), only the count
    // is shown.
    ProgressBar(std::string label, std::int64_t total, std::string unit, std::FILE* out = stderr);
    ~ProgressBar();  // calls finish()
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    // Cheap enough for an inner loop over batches. Not thread-safe.
    void advance_to(std::int64_t done);
    // Clears the bar. If the output is not a terminal, writes a last line, provided that a line was written before.
    void finish();

    // For tests: the clock (seconds, monotonic), and whether `out` counts as a terminal.
    ProgressBar(std::string label, std::int64_t total, std::string unit, std::FILE* out, bool terminal,
                std::function<double()> clock);

private:
    void draw(double now);

    std::string label_;
    std::int64_t total_;
    std::string unit_;
    std::FILE* out_;
    bool terminal_;
    std::function<double()> clock_;
    double start_;
    double last_drawn_;
    std::int64_t done_ = 0;
    bool drawn_ = false;
    bool finished_ = false;
};

}  // namespace gpas
