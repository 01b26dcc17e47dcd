#include "tests/hostcuda/profiling.hpp"

#include "kernels/cuda/profiling.hpp"

namespace gpas::hostcuda {

std::vector<std::string>& profiler_log() {
    static std::vector<std::string> log;
    return log;
}

}  // namespace gpas::hostcuda

namespace gpas::cuda {

void Range::begin(const char* name) { hostcuda::profiler_log().push_back(std::string("begin ") + name); }
void Range::end() { hostcuda::profiler_log().emplace_back("end"); }
void start_profiler() { hostcuda::profiler_log().emplace_back("start"); }
void stop_profiler() { hostcuda::profiler_log().emplace_back("stop"); }

}  // namespace gpas::cuda
