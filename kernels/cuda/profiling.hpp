// What a profiler (Nsight Systems) is told about a run on GPUs: names of spans, and which steps to record. Without a
// profiler both cost next to nothing. The names go through NVTX 3, which is headers alone.
#pragma once

#include "kernels/context.hpp"

#include <fmt/format.h>

#include <utility>

namespace gpas::cuda {

// A named span of the host's work, from construction to destruction; the profiler also shows it on the GPU, around what
// was enqueued within it. Spans of a thread nest.
class Range {
public:
    // The name is made only if the context names its work (metrics.nvtx).
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

// The profiler that this process was started under, if any, records from now on; and no longer.
// `nsys profile -c cudaProfilerApi` waits for these. Error(environment).
void start_profiler();
void stop_profiler();

}  // namespace gpas::cuda
