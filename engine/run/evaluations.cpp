#include "engine/run/evaluations.hpp"

#include "base/stopwatch.hpp"
#include "io/metrics/progress_bar.hpp"
#include "kernels/cuda/profiling.hpp"

namespace gpas {

Evaluations::Evaluations(RunSetup& setup, const StopClock& clock, RunLog log)
    : setup_(setup), clock_(clock), log_(log) {}

void Evaluations::prepare(const std::string& token_ids) {
    if (setup_.tasks.empty()) return;
    std::optional<TokenIds> imported;
    if (!token_ids.empty()) imported = parse_token_ids(token_ids, "the checkpoint");
    tasks_ = prepare_tasks(std::move(setup_.tasks), *setup_.tokenizer, setup_.config, imported);
    setup_.tasks.clear();
}

void Evaluations::recall(bool pending) { pending_ = pending && setup_.config.evaluation.every > 0 && has_samples(); }

void Evaluations::after_step(std::int64_t step, bool last) {
    const std::int64_t every = setup_.config.evaluation.every;
    pending_ = every > 0 && (last || step % every == 0) && has_samples();
}

Evaluated Evaluations::evaluate(std::int64_t step) {
    if (!pending_) return {};
    setup_.world().progress().enter(Phase::evaluation, step);
    const cuda::Range range(*setup_.context, "evaluation");
    const Stopwatch watch;
    std::optional<ProgressBar> bar;
    const auto show = [&](double share) {
        if (bar) bar->advance_to(std::int64_t(1000 * share));
    };
    const auto show_bar = [&] {
        bar.reset();
        if (setup_.world().rank() == 0) bar.emplace("evaluating", 1000, "");
    };
    const EvaluationHooks hooks{.progress = show, .stop = [&] { return clock_.now() != StopRequest::none; }};
    Evaluated evaluated;
    bool interrupted = false;
    if (setup_.data.valid) {
        show_bar();
        const EvaluationResult result =
            gpas::evaluate(*setup_.replica, setup_.mesh, pipeline_shape(setup_.config, setup_.mesh.size),
                           *setup_.data.valid, setup_.config.data.mask_documents, hooks);
        interrupted = result.interrupted;
        evaluated.loss =
            EvalMetrics{.step = step, .loss = result.loss, .tokens = result.tokens, .seconds = result.seconds};
    }
    if (!interrupted && !tasks_.empty()) {
        show_bar();
        evaluated.tasks = evaluate_tasks(step, hooks, interrupted);
    }
    bar.reset();
    if (interrupted) {
        log_.say("the evaluation at step {} was interrupted; the next start does it", step);
        return {.seconds = watch.seconds(), .loss = {}, .tasks = {}};
    }
    pending_ = false;
    if (evaluated.loss) evaluated.seconds += evaluated.loss->seconds;
    for (const TaskMetrics& task : evaluated.tasks) evaluated.seconds += task.seconds;
    evaluated.complete = true;
    return evaluated;
}

std::vector<TaskMetrics> Evaluations::evaluate_tasks(std::int64_t step, const EvaluationHooks& hooks,
                                                     bool& interrupted) {
    std::vector<TaskMetrics> scores =
        score_tasks(*setup_.replica, setup_.mesh, pipeline_shape(setup_.config, setup_.mesh.size), tasks_, hooks);
    interrupted = scores.empty();
    for (TaskMetrics& metrics : scores) metrics.step = step;
    return scores;
}

StopRequest Evaluations::agreed_stop() const {
    std::int64_t stop = std::int64_t(clock_.now());
    setup_.world().all_reduce(&stop, 1, ReduceOp::max, "requests to stop");
    return stop == 0 ? StopRequest::unfinished : StopRequest(stop);
}

}  // namespace gpas
