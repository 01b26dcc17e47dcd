// What this machine can do at best, for the share of it that training reaches (MFU).
#pragma once

#include "kernels/context.hpp"

namespace gpas {

// Floating-point operations per second of a large matrix product in this dtype, by this context's threads: the median
// of a few, all of them within about a third of a second.
double measure_matmul_rate(int threads, Dtype dtype);

}  // namespace gpas
