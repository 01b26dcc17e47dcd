// Sums over rows that backward needs: gradients of norm weights, biases and gates. Each block of a kernel stores its
// partial sums in scratch memory; finish_sums() then adds them up in a fixed order.
#pragma once

#include "kernels/cuda/device/gate.cuh"
#include "kernels/cuda/launch_rows.hpp"
#include "kernels/cuda/scratch.hpp"
#include "kernels/cuda/scratch_sizes.hpp"

#include <algorithm>

namespace gpas::cuda {

// Partial sums of each block (=), in scratch memory.
struct Partials {
    float* dw = nullptr;      // [blocks][C]; null: no gradient of a weight or bias
    double* gates = nullptr;  // [blocks][2]: Σ dy ⊙ x of the stream's gate and of the shortcut's gate; null: neither
};

// columns: C, or 0 if there is no weight gradient.
inline Partials partials(Context& context, std::int64_t blocks, std::int64_t columns, const GateGradients& dgate) {
    const bool gated = dgate.stream != nullptr || dgate.shortcut != nullptr;
    return {.dw = columns > 0 ? scratch_array<float>(context, blocks * columns) : nullptr,
            .gates = gated ? scratch_array<double>(context, 2 * blocks) : nullptr};
}

// A thread's part of Partials::gates.
struct GateSums {
    float stream = 0.0F;    // Σ d_h ⊙ x
    float shortcut = 0.0F;  // Σ d ⊙ x; store_gate_sums multiplies it by alpha · k
};

GPAS_DEVICE void store_gate_sums(const Partials& out, const GateSums& sums, float shortcut_factor, double* parts) {
    const double stream = block_sum(double(sums.stream), parts);
    __syncthreads();
    const double shortcut = block_sum(double(sums.shortcut), parts);
    if (threadIdx.x != 0) return;
    out.gates[2 * std::int64_t(blockIdx.x)] = stream;
    out.gates[2 * std::int64_t(blockIdx.x) + 1] = double(shortcut_factor) * shortcut;
}

// Blocks of a kernel that sums the columns of a tensor without sums over a row.
inline std::int64_t blocks_for_column_sums(std::int64_t rows) {
    constexpr std::int64_t rows_of_block = 32;  // until most_row_blocks is reached
    return std::clamp<std::int64_t>((rows + rows_of_block - 1) / rows_of_block, 1, most_row_blocks);
}

// dw [columns] fp32 (+=; absent: no weight) and dgate (+=): the sums of the partial sums of all blocks.
// Both addresses of dgate may be equal (a layer's two sub-layers share a gate); then the stream's sum is added first.
// All kernels that add to gate gradients run on one CUDA stream, so two of them never add at the same time.
void finish_sums(Context& context, Tensor dw, GateGradients dgate, const Partials& parts, std::int64_t blocks,
                 Gate stream, Gate shortcut);

}  // namespace gpas::cuda
