// The steps that a profiler records (metrics.profile).
#pragma once

#include "io/config/run_config.hpp"
#include "kernels/context.hpp"

namespace gpas {

// Starts the profiler before the first of its steps and stops it after the last one, or when the run ends before that.
// On the CPU it does nothing.
class ProfilerWindow {
public:
    ProfilerWindow(const ProfileConfig& steps, Context& context) : steps_(steps), context_(context) {}
    ~ProfilerWindow();
    ProfilerWindow(const ProfilerWindow&) = delete;
    ProfilerWindow& operator=(const ProfilerWindow&) = delete;

    // Steps count from 1. A run that resumes within the window is recorded from there. Error(environment).
    void before_step(std::int64_t step);
    void after_step(std::int64_t step);

private:
    ProfileConfig steps_;
    Context& context_;
    bool open_ = false;
};

}  // namespace gpas
