#include "engine/run/evaluations.hpp"

#include "io/metrics/progress_bar.hpp"
#include "kernels/cuda/profiling.hpp"

namespace gpas {

Evaluations::Evaluations(RunSetup& setup, const StopClock& clock, RunLog log)
    : setup_(setup), clock_(clock), log_(log) {}

void Evaluations::recall(bool pending) {
    pending_ = pending && setup_.config.evaluation.every > 0 && setup_.data.valid;
}

void Evaluations::after_step(std::int64_t step, bool last) {
    const std::int64_t every = setup_.config.evaluation.every;
    pending_ = every > 0 && (last || step % every == 0) && setup_.data.valid;
}

Evaluated Evaluations::evaluate(std::int64_t step) {
    if (!pending_) return {};
    setup_.world().progress().enter(Phase::evaluation, step);
    const cuda::Range range(*setup_.context, "evaluation");
    std::optional<ProgressBar> bar;
    if (setup_.world().rank() == 0) bar.emplace("evaluating", 1000, "");
    const EvaluationResult result =
        gpas::evaluate(*setup_.replica, setup_.mesh, pipeline_shape(setup_.config, setup_.mesh.size),
                       *setup_.data.valid, setup_.config.data.mask_documents,
                       {.progress =
                            [&](double share) {
                                if (bar) bar->advance_to(std::int64_t(1000 * share));
                            },
                        .stop = [&] { return clock_.now() != StopRequest::none; }});
    bar.reset();
    if (result.interrupted) {
        log_.say("the evaluation at step {} was interrupted; the next start does it", step);
        return {.seconds = result.seconds, .loss = {}};
    }
    pending_ = false;
    return {.seconds = result.seconds,
            .loss = EvalMetrics{.step = step, .loss = result.loss, .tokens = result.tokens, .seconds = result.seconds}};
}

StopRequest Evaluations::agreed_stop() const {
    std::int64_t stop = std::int64_t(clock_.now());
    setup_.world().all_reduce(&stop, 1, ReduceOp::max, "requests to stop");
    return stop == 0 ? StopRequest::unfinished : StopRequest(stop);
}

}  // namespace gpas
