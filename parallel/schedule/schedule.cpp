#include "parallel/schedule/schedule.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <deque>

namespace gpas {
namespace {

using Actions = std::vector<PipelineAction>;
using enum PipelineWork;

Actions gpipe(const PipelineShape& shape) {
    Actions actions;
    for (std::int64_t i = 0; i < shape.micro_batches; ++i) actions.push_back({forward, i, 0});
    for (std::int64_t i = 0; i < shape.micro_batches; ++i) actions.push_back({backward, i, 0});
    return actions;
}

Actions one_f_one_b(const PipelineShape& shape, int stage) {
    const std::int64_t m = shape.micro_batches;
    const std::int64_t warmup = std::min<std::int64_t>(shape.stages - stage - 1, m);
    Actions actions;
    for (std::int64_t i = 0; i < warmup; ++i) actions.push_back({forward, i, 0});
    for (std::int64_t i = 0; i < m - warmup; ++i) {
        actions.push_back({forward, warmup + i, 0});
        actions.push_back({backward, i, 0});
    }
    for (std::int64_t i = m - warmup; i < m; ++i) actions.push_back({backward, i, 0});
    return actions;
}

// Forwards: for each group of micro-batches, all micro-batches of chunk 0, then all of chunk 1, and so on. Backwards:
// the same, from the last chunk to the first. The two lists are merged as in 1F1B.
Actions interleaved(const PipelineShape& shape, int stage) {
    const std::int64_t group = shape.group > 0 ? shape.group : shape.stages;
    Actions forwards, backwards;
    for (std::int64_t first = 0; first < shape.micro_batches; first += group)
        for (int chunk = 0; chunk < shape.chunks; ++chunk)
            for (std::int64_t i = first; i < std::min(first + group, shape.micro_batches); ++i) {
                forwards.push_back({forward, i, chunk});
                backwards.push_back({backward, i, shape.chunks - 1 - chunk});
            }
    const std::size_t total = forwards.size();
    const std::size_t warmup =
        std::min(std::size_t(2 * (shape.stages - stage - 1) + (shape.chunks - 1) * group), total);
    Actions actions(forwards.begin(), forwards.begin() + std::ptrdiff_t(warmup));
    for (std::size_t k = warmup; k < total; ++k) {
        actions.push_back(forwards[k]);
        actions.push_back(backwards[k - warmup]);
    }
    actions.insert(actions.end(), backwards.end() - std::ptrdiff_t(warmup), backwards.end());
    return actions;
}

// The order and messages of 1F1B. A backward whose input gradient another stage waits for is split in two, and as many
// of its weight gradients as the bubble holds are postponed. Stage 0 sends no gradient, so it splits nothing.
Actions zero_bubble(const PipelineShape& shape, int stage) {
    const std::int64_t m = shape.micro_batches;
    const std::int64_t warmup = std::min<std::int64_t>(shape.stages - stage - 1, m);
    const std::int64_t steady = m - warmup;
    Actions actions;
    std::deque<std::int64_t> queued;
    const auto backwards = [&](std::int64_t i, bool split) {
        actions.push_back({split ? backward_input : backward, i, 0});
        if (split) queued.push_back(i);
    };
    const auto weights = [&] {
        if (queued.empty()) return;
        actions.push_back({backward_weight, queued.front(), 0});
        queued.pop_front();
    };
    for (std::int64_t i = 0; i < warmup; ++i) actions.push_back({forward, i, 0});
    for (std::int64_t i = 0; i < steady; ++i) {
        const bool last = i + 1 == steady;
        actions.push_back({forward, warmup + i, 0});
        backwards(i, stage > 0 && (i < stage || last));
        if (last && stage > 0 && i >= stage) weights();
    }
    for (std::int64_t i = steady; i < m; ++i) {
        backwards(i, stage > 0);
        if (i >= stage) weights();
    }
    while (!queued.empty()) weights();
    return actions;
}

// The message of an action with the model stage before (step = -1) or after (step = +1) its own; none at the model's
// ends.
PipelineMessage neighbour(const PipelineShape& shape, int stage, const PipelineAction& action, int step) {
    const int other = action.chunk * shape.stages + stage + step;
    if (other < 0 || other >= shape.stages * shape.chunks) return {};
    return {
        .exists = true, .peer = other % shape.stages, .micro_batch = action.micro_batch, .chunk = other / shape.stages};
}

}  // namespace

std::string why_impossible(const PipelineShape& shape) {
    const bool interleaves = shape.schedule == PipelineSchedule::interleaved;
    if (!interleaves && shape.chunks > 1)
        return fmt::format(
            "only the interleaved schedule has more than one model chunk per stage, not {}; set schedule "
            "to interleaved, or use one chunk",
            shape.chunks);
    if (!interleaves) return {};
    if (shape.stages == 1) return "the interleaved schedule needs at least two pipeline stages; use 1f1b";
    if (shape.chunks == 1)
        return "the interleaved schedule with one model chunk per stage is 1f1b; use 1f1b, or two chunks";
    const std::int64_t group = shape.group > 0 ? shape.group : shape.stages;
    if (group < shape.stages)
        return fmt::format("groups of {} micro-batches leave some of {} stages without work; use at least {}", group,
                           shape.stages, shape.stages);
    const std::int64_t rest = shape.micro_batches % group;
    if (shape.micro_batches < group || (rest != 0 && rest < shape.stages))
        return fmt::format(
            "the interleaved schedule takes micro-batches in groups of {}, which does not fit {} micro-batches per step; "
            "use a multiple of {} micro-batches",
            group, shape.micro_batches, group);
    return {};
}

std::vector<PipelineAction> pipeline_actions(const PipelineShape& shape, int stage) {
    const std::string why = why_impossible(shape);
    require(why.empty() && 0 <= stage && stage < shape.stages, "pipeline stage {} of {}: {}", stage, shape.stages, why);
    switch (shape.schedule) {
        case PipelineSchedule::gpipe: return gpipe(shape);
        case PipelineSchedule::one_f_one_b: return one_f_one_b(shape, stage);
        case PipelineSchedule::interleaved: return interleaved(shape, stage);
        case PipelineSchedule::zb_h1: return zero_bubble(shape, stage);
    }
    return {};
}

PipelineMessage input_of(const PipelineShape& shape, int stage, const PipelineAction& action) {
    if (action.work == backward_weight) return {};
    return neighbour(shape, stage, action, action.work == forward ? -1 : +1);
}

PipelineMessage output_of(const PipelineShape& shape, int stage, const PipelineAction& action) {
    if (action.work == backward_weight) return {};
    return neighbour(shape, stage, action, action.work == forward ? +1 : -1);
}

std::int64_t peak_in_flight(const std::vector<PipelineAction>& actions) {
    std::int64_t now = 0, most = 0;
    for (const PipelineAction& action : actions) {
        if (action.work == forward) most = std::max(most, ++now);
        if (action.work == backward || action.work == backward_weight) --now;
    }
    return most;
}

}  // namespace gpas
