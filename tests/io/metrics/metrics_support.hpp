#pragma once

#include "io/metrics/metrics.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gpas::metrics_tests {

using std::filesystem::path;

using test_support::ScratchDirectory;

inline std::string text_of(const path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline StepMetrics step_metrics(std::int64_t step, double loss) {
    StepMetrics m;
    m.step = step;
    m.steps_total = 1000;
    m.consumed_samples = step * 512;
    m.consumed_tokens = step * 512 * 256;
    m.loss_tokens = 512 * 256;
    m.loss = loss;
    m.learning_rate = 6e-4;
    m.gradient_norm = 0.8125;
    m.gate_gradient_norm = 0.01;
    m.tokens = 512 * 256;
    m.flops = {.megatron = 4e8, .full = 5e8};
    m.peak_flops = 1e14;
    m.seconds = {
        .data = 0.125, .compute = 1.5, .communication = 0.25, .optimizer = 0.125, .evaluation = 2.0, .checkpoint = 0.0};
    m.arena_bytes = 1 << 30;
    m.resident_bytes = std::int64_t(3) << 30;
    return m;
}

inline GpasMetrics gpas_metrics(std::int64_t step) {
    return {step, {{0, "attention", 0.5, 0.25}, {11, "mlp", -0.5, -0.125}}, {{0, "attention", 1.5}, {11, "mlp", 9.0}}};
}

}  // namespace gpas::metrics_tests
