#include "io/metrics/console.hpp"

#include "base/error.hpp"
#include "io/metrics/text.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace gpas {
namespace {

std::string flags_of(const StepMetrics& m) {
    std::string flags;
    if (m.clipped) flags += "  clipped";
    if (m.gates_clipped) flags += "  gates clipped";
    if (m.skipped && m.loss_tokens > 0) flags += "  SKIPPED";
    return flags;
}

// Prints NaN without its sign, which has no meaning.
double shown(double number) { return std::isnan(number) ? std::numeric_limits<double>::quiet_NaN() : number; }

// All texts have the same length, so that columns are aligned.
std::string measured_columns(const StepMetrics& m) {
    const std::string loss = fmt::format("loss {:>7.4f}  ppl {:>8}", shown(m.loss), perplexity_text(m.loss));
    return m.loss_tokens > 0 ? loss : fmt::format("{:<{}}", "no tokens", loss.size());
}

}  // namespace

std::string console_line(const StepMetrics& m) {
    const std::string total = fmt::format("{}", m.steps_total);
    const double share = m.steps_total > 0 ? 100.0 * double(m.step) / double(m.steps_total) : 0.0;
    std::string line = fmt::format("step {:>{}}/{} {:>5.1f}%  {}  lr {:.2e}", m.step, total.size(), total, share,
                                   measured_columns(m), m.learning_rate);
    if (m.loss_tokens > 0) line += fmt::format("  grad {:>7.4f}", shown(m.gradient_norm));
    if (m.loss_tokens > 0 && m.gate_gradient_norm > 0) line += fmt::format("  gates {:>7.1e}", m.gate_gradient_norm);
    line += fmt::format("  {:>6} tok/s", quantity_text(m.tokens_per_second()));
    if (m.peak_flops > 0) line += fmt::format("  MFU {:>4.1f}%", 100 * m.mfu_megatron());
    line += fmt::format("  eta {:>6}", duration_text(m.seconds_left));
    return line + flags_of(m);
}

std::string console_line(const EvalMetrics& m) {
    if (m.tokens == 0) return fmt::format("eval at step {}  no tokens  {}", m.step, duration_text(m.seconds));
    return fmt::format("eval at step {}  loss {:.4f}  ppl {}  {} tokens  {}", m.step, shown(m.loss),
                       perplexity_text(m.loss), quantity_text(double(m.tokens)), duration_text(m.seconds));
}

void ConsoleSink::write(const StepMetrics& m) { fmt::print(out_, "{}\n", console_line(m)); }

std::string console_line(const EventMetrics& m) {
    return fmt::format("event at step {}  {}: {}{}", m.step, m.event, m.text,
                       m.action.empty() ? "" : fmt::format("  -> {}", m.action));
}

void ConsoleSink::write(const EventMetrics& m) { fmt::print(out_, "{}\n", console_line(m)); }

std::string task_text(const TaskMetrics& m) {
    const auto share = [](const char* name, const TaskShare& x) {
        return fmt::format("{} {:.4f} +/- {:.4f}  ", name, x.value, x.standard_error);
    };
    return share("acc", m.acc) + share("acc_norm", m.acc_norm) + share("acc_bytes", m.acc_bytes) +
           fmt::format("bits/byte {:.4f}  {} questions", shown(m.bits_per_byte), m.questions);
}

std::string console_line(const TaskMetrics& m) {
    return fmt::format("task {} at step {}  {}", m.task, m.step, task_text(m));
}

void ConsoleSink::write(const TaskMetrics& m) { fmt::print(out_, "{}\n", console_line(m)); }

void ConsoleSink::write(const EvalMetrics& m) { fmt::print(out_, "{}\n", console_line(m)); }

}  // namespace gpas
