#include "engine/report/marks.hpp"

#include "engine/report/thin.hpp"
#include "engine/report/token_axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace gpas {
namespace {

// The steps of the events; with a kind, only those of this kind.
std::set<std::int64_t> steps_of(const std::vector<EventView>& events, const char* kind = nullptr) {
    std::set<std::int64_t> steps;
    for (const EventView& event : events)
        if (kind == nullptr || event.event == kind) steps.insert(event.step);
    return steps;
}

Mark skipped_mark(const StepView& step) {
    return {.step = step.step,
            .tokens = step.consumed_tokens,
            .kind = "skipped",
            .action = "",
            .rank = -1,
            .text = step.loss_tokens == 0 ? "no update: the batch has no tokens with a loss" : "no update"};
}

}  // namespace

std::vector<Mark> marks_of(const RunHistory& history) {
    const std::set<std::int64_t> with_event = steps_of(history.events);
    const std::set<std::int64_t> rolled_back = steps_of(history.events, "roll_back");
    std::vector<Mark> marks;
    for (const EventView& event : history.events)
        marks.push_back({.step = event.step,
                         .tokens = tokens_at(history.steps, event.step),
                         .kind = event.event,
                         .action = event.action,
                         .rank = event.rank,
                         .text = event.text});
    for (const StepView& step : history.steps)
        if (step.skipped && !with_event.contains(step.step)) marks.push_back(skipped_mark(step));
    for (const std::int64_t step : history.resumed_from)
        if (!rolled_back.contains(step))
            marks.push_back({.step = step,
                             .tokens = tokens_at(history.steps, step),
                             .kind = "resumed",
                             .action = "",
                             .rank = -1,
                             .text = fmt::format("the run resumed from step {} and computed later steps again", step)});
    std::ranges::stable_sort(marks, {}, &Mark::step);
    return marks;
}

ReportJson marks_json(const std::vector<Mark>& marks, std::size_t most) {
    ReportJson list = ReportJson::array();
    for (const IndexRange& part : equal_parts(marks.size(), most)) {
        const Mark& mark = marks[part.begin];
        list.push_back({{"x", whole_number(mark.tokens)},
                        {"step", mark.step},
                        {"kind", mark.kind},
                        {"action", mark.action},
                        {"rank", mark.rank},
                        {"text", mark.text}});
    }
    return list;
}

ReportJson mark_counts_json(const std::vector<Mark>& marks) {
    ReportJson counts = ReportJson::object();
    for (const Mark& mark : marks) counts[mark.kind] = counts.value(mark.kind, 0) + 1;
    return counts;
}

}  // namespace gpas
