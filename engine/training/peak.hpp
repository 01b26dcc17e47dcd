// What this machine can do at best, for the share of it that training reaches (MFU).
#pragma once

#include "kernels/context.hpp"

namespace gpas {

// Floating-point operations per second of a large matrix product in this dtype, by the chosen GPU or this many threads:
// the median of a few, all of them within about a third of a second.
double measure_matmul_rate(Device device, int threads, Dtype dtype);

// Rows and columns of that product.
std::int64_t matmul_rate_side(Device device);

}  // namespace gpas
