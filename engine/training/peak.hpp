// What this machine can do at best, for the share of it that training reaches (MFU).
#pragma once

#include "kernels/context.hpp"

#include <string>

namespace gpas {

struct Peak {
    double flops = 0.0;  // floating-point operations per second; 0: unknown
    std::string source;  // for the log
};

// Of the chosen GPU in bf16: its data sheet's figure, where device_table.hpp has it. Else measured: the median rate of
// a few large matrix products in this dtype, on the GPU or by this many threads, within about a third of a second.
Peak peak_of_device(Device device, int threads, Dtype dtype);

}  // namespace gpas
