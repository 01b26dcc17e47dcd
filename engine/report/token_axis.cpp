#include "engine/report/token_axis.hpp"

#include <algorithm>

namespace gpas {

double tokens_at(std::span<const StepView> steps, std::int64_t step) {
    const auto next = std::ranges::lower_bound(steps, step, {}, &StepView::step);
    if (next == steps.end()) return steps.back().consumed_tokens;
    if (next->step == step) return next->consumed_tokens;
    const StepView before = next == steps.begin() ? StepView{.step = 0, .consumed_tokens = 0.0} : *(next - 1);
    const double share = double(step - before.step) / double(next->step - before.step);
    return before.consumed_tokens + share * (next->consumed_tokens - before.consumed_tokens);
}

LossByTokens training_loss(const RunHistory& history) {
    LossByTokens result;
    for (const StepView& step : history.steps) {
        if (step.loss_tokens == 0) continue;
        result.tokens.push_back(step.consumed_tokens);
        result.loss.push_back(step.loss);
    }
    return result;
}

LossByTokens validation_loss(const RunHistory& history) {
    LossByTokens result;
    for (const EvalView& evaluation : history.evaluations) {
        if (evaluation.tokens == 0) continue;
        result.tokens.push_back(tokens_at(history.steps, evaluation.step));
        result.loss.push_back(evaluation.loss);
    }
    return result;
}

}  // namespace gpas
