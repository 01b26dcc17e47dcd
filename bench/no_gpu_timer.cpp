#include "base/error.hpp"
#include "bench/gpu_timer.hpp"

namespace gpas::bench {

struct GpuTimer::Impl {};

GpuTimer::GpuTimer(Context&) { fail(ExitCode::internal, "a timer of GPUs in a build without CUDA"); }
GpuTimer::~GpuTimer() = default;
void GpuTimer::start() {}
double GpuTimer::stop() { return 0.0; }

}  // namespace gpas::bench
