// What a profiler of the emulated GPU received, in order: "begin NAME" and "end" of spans, "start" and "stop".
#pragma once

#include <string>
#include <vector>

namespace gpas::hostcuda {

std::vector<std::string>& profiler_log();  // of this process

}  // namespace gpas::hostcuda
