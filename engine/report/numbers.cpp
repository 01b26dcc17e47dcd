#include "engine/report/numbers.hpp"

#include "engine/report/thin.hpp"
#include "engine/report/token_axis.hpp"

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

double known_or_zero(double seconds) { return std::isfinite(seconds) ? seconds : 0.0; }

// Values of 0 stand for unknown.
double median_of_known(const RunHistory& history, double StepView::* member) {
    std::vector<double> values;
    for (const StepView& step : history.steps)
        if (step.*member != 0.0) values.push_back(step.*member);
    return median_of(values);
}

double largest_of(const RunHistory& history, double StepView::* member) {
    double most = unknown_number;
    for (const StepView& step : history.steps) most = std::fmax(most, step.*member);
    return most;
}

void add_validation(const RunHistory& history, ReportJson& numbers) {
    const EvalView* last = nullptr;
    const EvalView* best = nullptr;
    for (const EvalView& evaluation : history.evaluations) {
        if (evaluation.tokens == 0) continue;
        last = &evaluation;
        if (std::isfinite(evaluation.loss) && (best == nullptr || evaluation.loss < best->loss)) best = &evaluation;
    }
    numbers["validation_loss"] = short_number(last ? last->loss : unknown_number);
    numbers["validation_step"] = last ? ReportJson(last->step) : ReportJson();
    numbers["best_validation_loss"] = short_number(best ? best->loss : unknown_number);
    numbers["best_validation_step"] = best ? ReportJson(best->step) : ReportJson();
}

}  // namespace

RunSeconds seconds_by_phase(const RunHistory& history) {
    RunSeconds sum;
    std::int64_t before = 0;
    for (const StepView& step : history.steps) {
        const double steps = double(step.step - before);
        before = step.step;
        sum.data += steps * known_or_zero(step.seconds_data);
        sum.compute += steps * known_or_zero(step.seconds_compute);
        sum.communication += steps * known_or_zero(step.seconds_communication);
        sum.optimizer += steps * known_or_zero(step.seconds_optimizer);
        sum.evaluation += known_or_zero(step.seconds_evaluation);
        sum.checkpoint += known_or_zero(step.seconds_checkpoint);
    }
    return sum;
}

ReportJson numbers_json(const RunHistory& history) {
    const LossByTokens training = training_loss(history);
    const std::size_t last = std::min<std::size_t>(50, training.loss.size());
    const RunSeconds seconds = seconds_by_phase(history);
    ReportJson numbers{{"steps", history.steps.back().step},
                       {"tokens", whole_number(history.steps.back().consumed_tokens)},
                       {"training_loss", short_number(mean_and_deviation(std::span(training.loss).last(last)).mean)},
                       {"training_records", last},
                       {"tokens_per_second", short_number(median_of_known(history, &StepView::tokens_per_second))},
                       {"mfu", short_number(median_of_known(history, &StepView::mfu))},
                       {"resident_bytes", whole_number(largest_of(history, &StepView::resident_bytes))},
                       {"skipped", std::ranges::count(history.steps, true, &StepView::skipped)},
                       {"seconds",
                        {{"data", short_number(seconds.data)},
                         {"compute", short_number(seconds.compute)},
                         {"communication", short_number(seconds.communication)},
                         {"optimizer", short_number(seconds.optimizer)},
                         {"evaluation", short_number(seconds.evaluation)},
                         {"checkpoint", short_number(seconds.checkpoint)},
                         {"total", short_number(seconds.total())}}}};
    add_validation(history, numbers);
    return numbers;
}

}  // namespace gpas
