#include "io/metrics/console.hpp"

#include "io/metrics/text.hpp"
#include "kernels/error.hpp"

#include <fmt/format.h>

namespace gpas {
namespace {

constexpr double memory_of_mean = 0.98;  // about 50 steps

std::string flags_of(const StepMetrics& m) {
    std::string flags;
    if (m.clipped) flags += "  clipped";
    if (m.gates_clipped) flags += "  gates clipped";
    if (m.skipped) flags += "  SKIPPED";
    return flags;
}

}  // namespace

std::string console_line(const StepMetrics& m, double seconds_left) {
    const std::string total = fmt::format("{}", m.steps_total);
    const double share = m.steps_total > 0 ? 100.0 * double(m.step) / double(m.steps_total) : 0.0;
    std::string line = fmt::format("step {:>{}}/{} {:>5.1f}%  loss {:>7.4f}  ppl {:>6}  lr {:.2e}  grad {:>7.4f}",
                                   m.step, total.size(), total, share, m.loss, quantity_text(m.perplexity()),
                                   m.learning_rate, m.gradient_norm);
    if (m.gate_gradient_norm > 0) line += fmt::format("  gates {:>7.1e}", m.gate_gradient_norm);
    line += fmt::format("  {:>6} tok/s", quantity_text(m.tokens_per_second()));
    if (m.peak_flops > 0) line += fmt::format("  MFU {:>4.1f}%", 100 * m.mfu_megatron());
    line += fmt::format("  eta {:>6}", seconds_left < 0 ? "?" : duration_text(seconds_left));
    return line + flags_of(m);
}

std::string console_line(const EvalMetrics& m) {
    return fmt::format("eval at step {}  loss {:.4f}  ppl {:.3f}  {} tokens  {}", m.step, m.loss, m.perplexity(),
                       quantity_text(double(m.tokens)), duration_text(m.seconds));
}

void ConsoleSink::write(const StepMetrics& m) {
    mean_seconds_ = memory_of_mean * mean_seconds_ + (1 - memory_of_mean) * m.seconds.total();
    weight_ = memory_of_mean * weight_ + (1 - memory_of_mean);
    fmt::print(out_, "{}\n", console_line(m, double(m.steps_total - m.step) * mean_seconds_ / weight_));
}

std::string console_line(const EventMetrics& m) {
    return fmt::format("event at step {}  {}: {}{}", m.step, m.event, m.text,
                       m.action.empty() ? "" : fmt::format("  -> {}", m.action));
}

void ConsoleSink::write(const EventMetrics& m) { fmt::print(out_, "{}\n", console_line(m)); }

void ConsoleSink::write(const EvalMetrics& m) { fmt::print(out_, "{}\n", console_line(m)); }

}  // namespace gpas
