// Measures the rate of oneDNN alone, with its own threads, on the matrix products of a model's training step.
#pragma once

#include "io/config/run_config.hpp"
#include "kernels/tensor.hpp"

#include <cstdint>

namespace gpas::bench {

struct ProductRate {
    double operations = 0.0;  // floating-point operations of all products of a micro-batch, forward and backward
    double gflops = 0.0;      // GFLOP/s: operations / sum of the products' median times
};

// tokens: per micro-batch.
ProductRate onednn_rate(const ModelConfig& model, std::int64_t tokens, Dtype dtype, int threads);

}  // namespace gpas::bench
