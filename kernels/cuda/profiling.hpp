// Support for a profiler (Nsight Systems): NVTX ranges, and the start and end of recording. Without a profiler their
// cost is negligible. NVTX 3 is header-only.
#pragma once

#include "kernels/context.hpp"

#include <fmt/format.h>

#include <utility>

namespace gpas::cuda {

// An NVTX range from construction to destruction. The profiler shows it on the host thread, and on the GPU around the
// work that was enqueued within it. Ranges of one thread nest.
class Range {
public:
    // Without names_work() (set by metrics.nvtx) the name is not formatted, and the range does nothing.
    template <class... Args>
    explicit Range(const Context& context, fmt::format_string<Args...> name, Args&&... args)
        : on_(context.names_work()) {
        if (on_) begin(fmt::format(name, std::forward<Args>(args)...).c_str());
    }
    template <class... Args>
    explicit Range(bool on, fmt::format_string<Args...> name, Args&&... args) : on_(on) {
        if (on_) begin(fmt::format(name, std::forward<Args>(args)...).c_str());
    }
    ~Range() {
        if (on_) end();
    }
    Range(const Range&) = delete;
    Range& operator=(const Range&) = delete;

private:
    static void begin(const char* name);
    static void end();
    bool on_;
};

// Start and stop recording, if this process runs under a profiler. `nsys profile -c cudaProfilerApi` records only
// between these calls. Error(environment) if CUDA reports an error.
void start_profiler();
void stop_profiler();

}  // namespace gpas::cuda
