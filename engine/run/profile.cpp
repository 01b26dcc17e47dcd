#include "engine/run/profile.hpp"

#include "kernels/cuda/profiling.hpp"

#include <exception>

namespace gpas {

void ProfilerWindow::before_step(StepNumber step) {
    if (context_.on_cpu() || open_ || step.from_1 < steps_.from || step.from_1 > steps_.to) return;
    context_.synchronize();  // the previous step's work must not be recorded
    cuda::start_profiler();
    open_ = true;
}

void ProfilerWindow::after_step(StepNumber step) {
    if (!open_ || step.from_1 < steps_.to) return;
    open_ = false;
    context_.synchronize();  // all of this step's work must be recorded
    cuda::stop_profiler();
}

ProfilerWindow::~ProfilerWindow() {
    if (!open_) return;
    try {
        cuda::stop_profiler();
    } catch (const std::exception&) {  // the run ends with another error, which is the one to report
    }
}

}  // namespace gpas
