#include "engine/commands/top_ranks.hpp"

#include "engine/guard/stragglers.hpp"
#include "io/config/run_config.hpp"
#include "io/metrics/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace gpas {
namespace {

constexpr std::size_t wide_columns = 120;
constexpr std::size_t most_waits = 64;

// Seconds as a text of at most five columns, if they are less than a day.
std::string seconds_text(double seconds) {
    if (!std::isfinite(seconds)) return "?";
    if (seconds < 0.9995) return fmt::format("{:.0f}ms", 1e3 * seconds);
    if (seconds < 99.95) return fmt::format("{:.1f}s", seconds);
    return seconds < 600 ? fmt::format("{:.0f}s", seconds) : duration_text(seconds);
}

std::string whole_text(std::int64_t number) { return number < 0 ? "" : std::to_string(number); }

// The host name without its domain.
std::string short_host(const std::string& host) { return printable(host.substr(0, host.find('.'))); }

Span note_span(const RankNote& note) {
    if (note.silent_seconds > 0)
        return {"silent " + seconds_text(note.silent_seconds), note.given_up ? Style::bad : Style::warning};
    if (note.behind > 0) return {fmt::format("{} steps behind", note.behind), Style::warning};
    if (note.slowness > 0) return {fmt::format("slow ×{:.1f}", note.slowness), Style::warning};
    return {};
}

// Order of problems: larger is more important. {3: silent, 2: behind, 1: slow, 0: no problem; amount}
std::pair<int, double> interest(const RankNote& note) {
    if (note.silent_seconds > 0) return {3, note.silent_seconds};
    if (note.behind > 0) return {2, double(note.behind)};
    if (note.slowness > 0) return {1, note.slowness};
    return {0, 0.0};
}

struct Widths {
    std::size_t rank = 4, host = 0, phase = 5, time_in_phase = 0, step = 4, micro_batch = 2, waits = 0;
    static constexpr std::size_t seconds = 6;
};

Widths widths_of(const std::vector<RankView>& ranks, bool one_host, std::size_t columns) {
    Widths w;
    for (const RankView& rank : ranks) {
        w.rank = std::max(w.rank, whole_text(rank.rank).size());
        w.phase = std::max(w.phase, columns_of(printable(rank.phase)));
        w.step = std::max(w.step, whole_text(rank.step).size());
        w.micro_batch = std::max(w.micro_batch, whole_text(rank.micro_batch).size());
        if (!one_host) w.host = std::max({w.host, columns_of(short_host(rank.host)), std::size_t(4)});
    }
    const bool wide = columns >= wide_columns;
    w.phase = std::min(w.phase, std::size_t(wide ? 16 : 10));
    w.host = std::min(w.host, std::size_t(wide ? 24 : 8));
    w.time_in_phase = wide ? Widths::seconds : 0;
    const std::size_t taken = w.rank + w.host + w.phase + w.time_in_phase + w.step + w.micro_batch +
                              4 * Widths::seconds + 5 + (w.host > 0 ? 1 : 0);
    w.waits = columns > taken ? std::min(columns - taken, most_waits) : 0;
    return w;
}

struct Cells {
    std::string rank, host, phase, time_in_phase, step, micro_batch;
    Line waits;
    std::string data, compute, communication, optimizer;
};

Line table_line(const Cells& c, const Widths& w, Style style) {
    std::string start = right_aligned(c.rank, w.rank) + " ";
    if (w.host > 0) start += padded(c.host, w.host) + " ";
    start += padded(c.phase, w.phase) + right_aligned(c.time_in_phase, w.time_in_phase) + " " +
             right_aligned(c.step, w.step) + " " + right_aligned(c.micro_batch, w.micro_batch) + "  ";
    Line line{{start, style}};
    const Line waits = spread(c.waits, {}, w.waits);
    line.insert(line.end(), waits.begin(), waits.end());
    std::string seconds;
    for (const std::string& cell : {c.data, c.compute, c.communication, c.optimizer})
        seconds += right_aligned(cell, Widths::seconds);
    line.push_back({seconds, style});
    return line;
}

Line heading(const Widths& w) {
    return table_line({.rank = "rank",
                       .host = "host",
                       .phase = "phase",
                       .time_in_phase = "for",
                       .step = "step",
                       .micro_batch = "mb",
                       .waits = {{"waits for", Style::faint}},
                       .data = "data",
                       .compute = "comp",
                       .communication = "comm",
                       .optimizer = "optim"},
                      w, Style::faint);
}

Line rank_line(const RankView& rank, const RankNote& note, const Widths& w) {
    Line waits;
    if (note.any()) waits = {note_span(note), {rank.call.empty() ? "" : " · ", Style::faint}};
    waits.push_back({printable(rank.call)});
    return table_line({.rank = whole_text(rank.rank),
                       .host = short_host(rank.host),
                       .phase = printable(rank.phase),
                       .time_in_phase = seconds_text(rank.seconds_in_phase),
                       .step = whole_text(rank.step),
                       .micro_batch = rank.micro_batch < 0 ? "-" : whole_text(rank.micro_batch),
                       .waits = waits,
                       .data = seconds_text(rank.seconds.data),
                       .compute = seconds_text(rank.seconds.compute),
                       .communication = seconds_text(rank.seconds.communication),
                       .optimizer = seconds_text(rank.seconds.optimizer)},
                      w, note.any() ? note_span(note).style : Style::plain);
}

// Number of ranks and hosts, number of ranks per phase (the largest first), and number of ranks per kind of problem.
Line summary(const std::vector<RankView>& ranks, const std::vector<RankNote>& notes, std::size_t hosts) {
    std::map<std::string, std::int64_t> phases;
    for (const RankView& rank : ranks) ++phases[printable(rank.phase)];
    std::vector<std::pair<std::int64_t, std::string>> by_count;
    for (const auto& [phase, count] : phases) by_count.emplace_back(-count, phase);
    std::ranges::sort(by_count);
    std::string text =
        fmt::format("{} on {}", ranks.size(),
                    hosts == 1 && !ranks[0].host.empty() ? short_host(ranks[0].host) : fmt::format("{} hosts", hosts));
    const char* separator = " · ";
    for (const auto& [count, phase] : by_count) {
        text += fmt::format("{}{} {}", separator, -count, phase.empty() ? "?" : phase);
        separator = ", ";
    }
    const auto number = [&](int kind) {
        return std::ranges::count_if(notes, [&](const RankNote& note) { return interest(note).first == kind; });
    };
    std::string trouble;
    for (const auto& [kind, name] : {std::pair(3, "silent"), std::pair(2, "behind"), std::pair(1, "slow")})
        if (number(kind) > 0) trouble += fmt::format(" · {} {}", number(kind), name);
    return {{"ranks   ", Style::faint}, {text}, {trouble, number(3) > 0 ? Style::bad : Style::warning}};
}

// Indices of the `most` ranks to show: the most important problems, then the first ranks; in the order of ranks.
std::vector<std::size_t> chosen(const std::vector<RankNote>& notes, std::size_t most) {
    std::vector<std::size_t> order(notes.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::ranges::stable_sort(order,
                             [&](std::size_t a, std::size_t b) { return interest(notes[a]) > interest(notes[b]); });
    order.resize(std::min(most, order.size()));
    std::ranges::sort(order);
    return order;
}

}  // namespace

std::vector<RankNote> rank_notes(const RunView& view) {
    const std::vector<RankView>& ranks = view.live->ranks;
    std::vector<RankNote> notes(ranks.size());
    if (view.live->state == "ended") return notes;
    const WatchConfig defaults;  // for a run whose configuration cannot be read
    const double limit = view.silent_limit > 0 ? view.silent_limit : defaults.silent_seconds;
    const double factor = std::isnan(view.straggler_factor) ? defaults.straggler_factor : view.straggler_factor;
    std::vector<RankWork> work;
    for (const RankView& rank : ranks) work.push_back({rank.stage, rank.seconds});
    const std::vector<double> slowness = slowness_of(work, factor);
    std::int64_t first = 0;
    for (const RankView& rank : ranks) first = std::max(first, rank.step);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        const RankView& rank = ranks[i];
        if (rank.silent_seconds >= limit / 4) notes[i].silent_seconds = rank.silent_seconds;
        notes[i].given_up = rank.silent_seconds >= limit;
        // Pipeline stages may differ by one step without a problem.
        if (rank.step >= 0 && rank.step + 1 < first) notes[i].behind = first - rank.step;
        notes[i].slowness = slowness[i];
    }
    return notes;
}

std::vector<Line> rank_lines(const RunView& view, std::size_t columns, std::size_t rows) {
    if (!view.live || view.live->ranks.empty())
        return {
            {{"ranks   ", Style::faint},
             {view.live ? "unknown: live.json lists no ranks" : "unknown: the run has no live.json", Style::faint}}};
    const std::vector<RankView>& ranks = view.live->ranks;
    const std::vector<RankNote> notes = rank_notes(view);
    std::set<std::string> hosts;
    for (const RankView& rank : ranks) hosts.insert(rank.host);
    std::vector<Line> lines{summary(ranks, notes, hosts.size())};
    if (rows < 3) return lines;
    const std::size_t room = rows - 2;
    const std::size_t most = ranks.size() <= room ? ranks.size() : room - 1;
    const Widths widths = widths_of(ranks, hosts.size() == 1, columns);
    lines.push_back(heading(widths));
    for (const std::size_t i : chosen(notes, most)) lines.push_back(rank_line(ranks[i], notes[i], widths));
    if (most < ranks.size()) lines.push_back({{fmt::format("{} more ranks", ranks.size() - most), Style::faint}});
    return lines;
}

}  // namespace gpas
