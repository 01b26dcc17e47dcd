// Starts and stops the CUDA profiler around the steps of metrics.profile.
#pragma once

#include "base/step_number.hpp"
#include "io/config/run_config.hpp"
#include "kernels/context.hpp"

namespace gpas {

// Starts the profiler before the first step of the window and stops it after the last one. If the run ends earlier, the
// destructor stops it. No effect on the CPU.
class ProfilerWindow {
public:
    ProfilerWindow(const ProfileConfig& steps, Context& context) : steps_(steps), context_(context) {}
    ~ProfilerWindow();
    ProfilerWindow(const ProfilerWindow&) = delete;
    ProfilerWindow& operator=(const ProfilerWindow&) = delete;

    // A run that resumes within the window is recorded from its first step on. Error(environment).
    void before_step(StepNumber step);
    void after_step(StepNumber step);

private:
    ProfileConfig steps_;
    Context& context_;
    bool open_ = false;
};

}  // namespace gpas
