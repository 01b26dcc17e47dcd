#include "engine/step/step_clock.hpp"

#include <algorithm>

namespace gpas {

StepClock::StepClock(Context& context) {
    if (context.on_cpu()) return;
    const auto gpu = context.shared_gpu();
    marks_.reset(new Marks{cuda::Mark(gpu), cuda::Mark(gpu), cuda::Mark(gpu)});
}

void StepClock::begin() {
    watch_.lap();
    if (marks_) marks_->begun.set();
}

void StepClock::computed(PhaseSeconds& seconds, double waited) {
    host_compute_ = watch_.lap();
    seconds.communication += waited;
    seconds.compute += host_compute_ - waited;
    if (marks_) marks_->computed.set();
}

void StepClock::reduced(PhaseSeconds& seconds) {
    host_reduction_ = watch_.lap();
    seconds.communication += host_reduction_;
    if (marks_) marks_->reduced.set();
}

void StepClock::waited_for_gpu(PhaseSeconds& seconds) {
    double rest = watch_.lap();
    if (marks_) {
        const auto take = [&](double wanted) {
            const double taken = std::clamp(wanted, 0.0, rest);
            rest -= taken;
            return taken;
        };
        seconds.compute += take(cuda::Mark::seconds_between(marks_->begun, marks_->computed) - host_compute_);
        seconds.communication += take(cuda::Mark::seconds_between(marks_->computed, marks_->reduced) - host_reduction_);
    }
    seconds.optimizer += rest;
}

}  // namespace gpas
