#include "engine/commands/top_fields.hpp"

#include "base/bytes_text.hpp"
#include "engine/commands/top_chart.hpp"
#include "engine/commands/top_parts.hpp"
#include "io/metrics/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace gpas {
namespace {

constexpr std::size_t two_column_width = 160;  // from this width on, fields are in two columns

StepView last_record(const RunView& view) { return view.recent.empty() ? StepView{} : view.recent.back(); }

Line evaluation_field(const RunView& view) {
    if (!view.evaluation) return labelled("eval", {{"no evaluation yet", Style::faint}});
    const EvalView& e = *view.evaluation;
    const EvalView& best = *view.best_evaluation;
    return labelled("eval",
                    joined({{e.tokens == 0 ? "no tokens" : known(e.loss, "{:.4f}", e.loss), Style::strong},
                            {known(e.loss, "perplexity {}", perplexity_text(e.loss))},
                            {fmt::format("at step {}", e.step)},
                            {best.step == e.step ? "" : fmt::format("best {:.4f} at {}", best.loss, best.step)}}));
}

Line speed_field(const RunView& view) {
    const StepView last = last_record(view);
    std::vector<double> speeds;
    for (const StepView& record : view.recent) speeds.push_back(record.tokens_per_second);
    constexpr std::size_t most = 12;
    const std::vector<double> shown = resampled(speeds, std::min(most, speeds.size()));
    const double speed = last.tokens_per_second, seconds = recent_seconds_per_step(view);
    return labelled("speed", joined({{known(speed, "{} tok/s", quantity_text(speed)), Style::strong},
                                     {last.mfu > 0 ? fmt::format("MFU {:.1f}%", 100.0 * last.mfu) : ""},
                                     {known(seconds, "{:.3g} s/step", seconds)},
                                     {sparkline(shown, chart_range(shown)), Style::accent}}));
}

Line update_field(const RunView& view) {
    const StepView last = last_record(view);
    return labelled(
        "update",
        joined({{known(last.learning_rate, "lr {:.2e}", last.learning_rate)},
                {known(last.gradient_norm, "gradient norm {:.4g}", last.gradient_norm),
                 last.clipped ? Style::warning : Style::plain},
                {last.clipped ? "clipped" : "", Style::warning},
                {last.gate_gradient_norm > 0 ? fmt::format("of gates {:.2g}", last.gate_gradient_norm) : ""}}));
}

Line memory_field(const RunView& view) {
    const StepView last = last_record(view);
    const double resident = last.resident_bytes, planned = last.arena_bytes;
    return labelled("memory",
                    joined({{known(resident, "{} resident", bytes_text(resident))},
                            {known(planned, "{} planned (rank 0)", bytes_text(planned))},
                            {known(last.consumed_tokens, "{} tokens seen", quantity_text(last.consumed_tokens))}}));
}

Line saved_field(const RunView& view, double now) {
    if (!view.checkpoint) return labelled("saved", {{"no checkpoint yet", Style::faint}});
    const CheckpointView& c = *view.checkpoint;
    return labelled("saved", joined({{printable(c.name), Style::strong},
                                     {ago_text(c.time, now)},
                                     {fmt::format("{} kept, {}", c.count, bytes_text(c.bytes))}}));
}

// Gate values as one curve over the layers per kind of site (attention, MLP) that has gates.
Line gates_field(const RunView& view) {
    std::vector<std::string> sites;
    for (const GateView& gate : view.gates)
        if (std::ranges::find(sites, gate.site) == sites.end()) sites.push_back(gate.site);
    if (sites.empty()) return labelled("gates", {{"no gates recorded", Style::faint}});
    const auto by_value = [](const GateView& a, const GateView& b) { return a.value < b.value; };
    std::vector<GateView> numbers = view.gates;
    std::erase_if(numbers, [](const GateView& gate) { return !std::isfinite(gate.value); });
    if (numbers.empty()) return labelled("gates", {{"NaN or Inf", Style::bad}});
    const auto [least, most] = std::ranges::minmax_element(numbers, by_value);
    std::set<std::int64_t> layers;
    Line line;
    for (const std::string& site : sites) {
        std::vector<double> values;
        for (const GateView& gate : view.gates)
            if (gate.site == site) values.push_back(gate.value), layers.insert(gate.layer);
        const std::vector<double> shown = resampled(values, std::min<std::size_t>(values.size(), 24));
        if (sites.size() > 1) line.push_back({printable(site) + " ", Style::faint});
        line.push_back({sparkline(shown, {least->value, most->value}) + " ", Style::accent});
    }
    line.push_back({fmt::format("{} layers", layers.size()), Style::faint});
    line.push_back({fmt::format(" · {:.3g} (layer {}) to {:.3g} (layer {})", least->value, least->layer, most->value,
                                most->layer)});
    return labelled("gates", line);
}

// Division of the recent steps' time on rank 0. A record has the training seconds of its own step, but the seconds
// of all evaluations and saves since the previous record.
Line time_field(const RunView& view) {
    constexpr std::pair<const char*, double StepView::*> parts[] = {
        {"data", &StepView::seconds_data},          {"compute", &StepView::seconds_compute},
        {"comm", &StepView::seconds_communication}, {"optimizer", &StepView::seconds_optimizer},
        {"eval", &StepView::seconds_evaluation},    {"saving", &StepView::seconds_checkpoint}};
    double total = 0.0;
    std::vector<double> sums;
    for (const auto& [name, member] : parts) {
        double sum = 0.0;
        const bool of_step = member != &StepView::seconds_evaluation && member != &StepView::seconds_checkpoint;
        for (std::size_t i = 0; i < view.recent.size(); ++i) {
            const StepView& record = view.recent[i];
            const std::int64_t steps = i > 0 ? std::max<std::int64_t>(1, record.step - view.recent[i - 1].step) : 1;
            if (std::isfinite(record.*member)) sum += record.*member * (of_step ? double(steps) : 1.0);
        }
        sums.push_back(sum);
        total += sum;
    }
    std::vector<Span> shares;
    for (std::size_t i = 0; i < std::size(parts) && total > 0; ++i)
        if (sums[i] / total >= 0.0005)
            shares.push_back({fmt::format("{} {:.1f}%", parts[i].first, 100.0 * sums[i] / total)});
    return labelled("time", joined(shares));
}

}  // namespace

double recent_seconds_per_step(const RunView& view) {
    const double recorded = view.seconds_per_step();
    if (std::isfinite(recorded) || !view.live || view.live->ranks.empty()) return recorded;
    return view.live->ranks[0].seconds.total();
}

std::vector<Line> field_lines(const RunView& view, const ScreenOptions& options) {
    std::vector<Line> fields{evaluation_field(view), speed_field(view), update_field(view)};
    if (options.rows >= tall_rows || !view.live) fields.push_back(time_field(view));
    fields.insert(fields.end(), {saved_field(view, options.now), memory_field(view), gates_field(view)});
    if (options.columns < two_column_width) return fields;
    std::vector<Line> pairs;
    const std::size_t half = (fields.size() + 1) / 2, left_columns = options.columns / 2;
    for (std::size_t i = 0; i < half; ++i) {
        Line line = spread(fields[i], {}, left_columns);
        if (i + half < fields.size()) line.insert(line.end(), fields[i + half].begin(), fields[i + half].end());
        pairs.push_back(line);
    }
    return pairs;
}

}  // namespace gpas
