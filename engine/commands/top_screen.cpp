#include "engine/commands/top_screen.hpp"

#include "engine/commands/top_chart.hpp"
#include "engine/commands/top_fields.hpp"
#include "engine/commands/top_parts.hpp"
#include "engine/commands/top_ranks.hpp"
#include "engine/commands/top_text.hpp"
#include "io/metrics/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas {
namespace {

constexpr std::size_t short_rows = 30;
constexpr double stale_seconds = 30.0;  // live.json is written about every 2 s

// Builds the lines of one frame, from top to bottom; each function makes one part of the screen.
class Screen {
public:
    Screen(const RunView& view, const ScreenOptions& options) : view_(view), o_(options) {
        if (!view_.recent.empty()) last_ = view_.recent.back();
    }

    std::vector<Line> lines() {
        add_heading();
        add_progress();
        const std::vector<Line> facts = field_lines(view_, o_), notes = note_lines();
        const std::size_t ranks = view_.live ? view_.live->ranks.size() : 0;
        // Also taken: two blank lines, and the rank table's summary and heading.
        const std::size_t taken = lines_.size() + 1 + facts.size() + notes.size() + 3;
        add_loss(chart_rows(o_.rows > taken ? o_.rows - taken : 0, ranks));
        lines_.insert(lines_.end(), facts.begin(), facts.end());
        lines_.insert(lines_.end(), notes.begin(), notes.end());
        lines_.emplace_back();
        const std::size_t room = o_.rows > lines_.size() ? o_.rows - lines_.size() : 0;
        for (Line& line : rank_lines(view_, o_.columns, room)) lines_.push_back(std::move(line));
        if (lines_.size() > o_.rows) lines_.resize(o_.rows);
        return std::move(lines_);
    }

private:
    // Number of lines for the loss chart, of `room` lines that the chart and the rank table share.
    std::size_t chart_rows(std::size_t room, std::size_t ranks) const {
        const std::size_t least = std::min<std::size_t>(std::max<std::size_t>(o_.rows / 7, 1), room);
        const std::size_t most = std::max(least, o_.rows / 4);
        return std::clamp(room - std::min(room, ranks), least, most);
    }

    bool has_news() const { return view_.live && view_.news_age <= stale_seconds; }
    bool over() const { return view_.live && view_.live->over(); }
    bool at_the_end() const { return view_.total() > 0 && view_.step() >= view_.total(); }

    Line state() const {
        if (!view_.live) {
            if (at_the_end()) return {{"all steps done", Style::good}};
            if (view_.has_metrics)
                return {{"state unknown", Style::warning},
                        {" · last record " + duration_text(view_.record_age) + " ago", Style::faint}};
            return {{"state unknown", Style::warning}};
        }
        const LiveView& live = *view_.live;
        const std::string name = live.state.empty() ? "state unknown" : printable(live.state);
        if (over()) return ending(name, live);
        if (!has_news())
            return {{"no news for " + duration_text(view_.news_age), Style::bad}, {" · was " + name, Style::faint}};
        return {{name, live.state == "training" ? Style::good : Style::accent}};
    }

    Line ending(const std::string& name, const LiveView& live) const {
        Line line{{name, live.state == "failed" ? Style::bad : Style::good}};
        if (live.exit_code == 75) line.push_back({" at a checkpoint, can resume", Style::warning});
        if (live.exit_code > 0) line.push_back({fmt::format(" · exit code {}", live.exit_code), Style::faint});
        line.push_back({" · " + ago_text(live.time, o_.now), Style::faint});
        return line;
    }

    void add_heading() {
        const std::string name = view_.live && !view_.live->name.empty() ? view_.live->name : view_.name;
        const std::string shown = name.empty() ? view_.directory.filename().string() : name;
        lines_.push_back(
            spread({{"gpas top  ", Style::faint}, {printable(shown), Style::strong}}, state(), o_.columns));
        std::string job;
        if (view_.live && !view_.live->job.empty()) job = "job " + printable(view_.live->job);
        if (view_.live && view_.live->restart > 0)
            job += fmt::format("{}restarted {} time{}", job.empty() ? "" : ", ", view_.live->restart,
                               view_.live->restart == 1 ? "" : "s");
        const std::string size =
            o_.parameters >= 0 ? quantity_text(double(o_.parameters)) + " parameters" : std::string();
        Line about = joined({{printable(view_.architecture)}, {size}, {job}, {printable(view_.directory.string())}});
        for (Span& span : about) span.style = Style::faint;
        lines_.push_back(about);
        lines_.emplace_back();
    }

    // The estimate in the run's last record minus the time since then. If the record has no estimate: remaining steps
    // times the mean of recent steps.
    double seconds_left() const {
        if (std::isfinite(last_.seconds_left))
            return std::max(0.0, last_.seconds_left - (has_news() ? view_.record_age : 0.0));
        const std::int64_t step = view_.step(), total = view_.total();
        return total > 0 && step >= 0 ? double(total - step) * recent_seconds_per_step(view_) : unknown_number;
    }

    void add_progress() {
        const std::int64_t step = view_.step(), total = view_.total();
        const double share = total > 0 && step >= 0 ? double(step) / double(total) : unknown_number;
        const std::string count =
            fmt::format("{}/{}", step < 0 ? "?" : std::to_string(step), total < 0 ? "?" : std::to_string(total));
        Line times;
        if (!over() && !at_the_end())
            times = {{"  ETA ", Style::faint}, {duration_text(seconds_left()), Style::strong}};
        const double end = view_.live && (over() || !has_news()) ? view_.live->time : o_.now;
        if (view_.live)
            times.insert(times.end(), {{"  elapsed ", Style::faint}, {duration_text(end - view_.live->started)}});
        Line left = labelled("step", {{count, Style::strong}, {known(share, "  {:.1f}%  ", 100.0 * share)}});
        const std::size_t taken = columns_of(left) + columns_of(times);
        const Bar done = bar(share, o_.columns > taken ? o_.columns - taken : 0);
        left.push_back({done.filled, Style::accent});
        left.push_back({done.rest, Style::faint});
        left.insert(left.end(), times.begin(), times.end());
        lines_.push_back(left);
    }

    bool is_bad(const StepView& record) const {
        return !view_.recent.empty() && record.loss_tokens != 0 && std::isnan(record.loss);
    }

    std::string recent_mean_loss() const {
        double sum = 0.0;
        std::int64_t count = 0;
        for (const StepView& record : view_.recent)
            if (std::isfinite(record.loss)) sum += record.loss, ++count;
        return count > 1 ? fmt::format("mean of last {}: {:.4f}", count, sum / double(count)) : "";
    }

    void add_loss(std::size_t rows) {
        Line text = joined({{known(last_.loss, "{:.4f}", last_.loss), Style::strong},
                            {known(last_.loss, "perplexity {}", perplexity_text(last_.loss))},
                            {recent_mean_loss()},
                            {last_.loss_tokens == 0 ? "no tokens" : "", Style::warning},
                            {is_bad(last_) ? "NaN or Inf" : "", Style::bad},
                            {last_.skipped && last_.loss_tokens != 0 ? "skipped" : "", Style::bad}});
        if (!view_.has_metrics) text = {{"unknown: the run writes no metrics.jsonl", Style::faint}};
        lines_.push_back(labelled("loss", text));
        if (rows == 0) return;
        constexpr std::size_t axis_columns = 8;
        if (o_.columns < label_columns + axis_columns + 8) return;
        std::vector<double> losses;
        losses.reserve(view_.losses.size());
        for (const LossPoint& point : view_.losses) losses.push_back(point.loss);
        const std::vector<double> shown = resampled(losses, o_.columns - label_columns - axis_columns);
        if (shown.empty()) return;
        const ChartRange range = chart_range(shown);
        const std::vector<std::string> curve = chart(shown, range, rows);
        for (std::size_t i = 0; i < rows; ++i) {
            const double at = i == 0 ? range.high : i + 1 == rows ? range.low : unknown_number;
            lines_.push_back(labelled("", {{curve[i], Style::accent}, {known(at, " {:.4g}", at), Style::faint}}));
        }
    }

    Line event_line(const EventView& event, const char* label) const {
        std::vector<Span> parts{
            {fmt::format("step {}", event.step), Style::faint},
            {ago_text(event.time, o_.now), Style::faint},
            {printable(event.event) + (event.action.empty() ? "" : " → " + printable(event.action)), Style::warning},
            {event.rank >= 0 ? fmt::format("rank {}", event.rank) : ""},
            {printable(event.text)}};
        return labelled(label, joined(parts));
    }

    // The last failure, and the last events, newest first.
    std::vector<Line> note_lines() const {
        std::vector<Line> lines;
        if (view_.failure) {
            // A failure from before this start is over: shown in a faint style.
            const bool old = view_.live && view_.failure->time < view_.live->started;
            lines.push_back(
                labelled("failure", joined({{ago_text(view_.failure->time, o_.now), Style::faint},
                                            {printable(view_.failure->first_line), old ? Style::faint : Style::bad},
                                            {"failures/" + printable(view_.failure->name), Style::faint}})));
        }
        const std::size_t most = o_.rows >= tall_rows ? 6 : o_.rows >= short_rows ? 2 : 1;
        const std::size_t count = std::min(most, view_.events.size());
        for (std::size_t i = 0; i < count; ++i)
            lines.push_back(event_line(view_.events[view_.events.size() - 1 - i], i == 0 ? "events" : ""));
        return lines;
    }

    const RunView& view_;
    const ScreenOptions& o_;
    StepView last_;
    std::vector<Line> lines_;
};

}  // namespace

std::vector<std::string> top_screen(const RunView& view, const ScreenOptions& options) {
    std::vector<std::string> result;
    for (const Line& line : Screen(view, options).lines())
        result.push_back(rendered(line, options.columns, options.color));
    return result;
}

}  // namespace gpas
