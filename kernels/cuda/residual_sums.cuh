// Sums over rows that the backward of the residual stream needs: gradients of norm weights and of gates. Each block of
// a kernel stores its partial sums in scratch memory; finish_sums() then adds them up in a fixed order.
#pragma once

#include "kernels/cuda/device/gate.cuh"
#include "kernels/cuda/launch_rows.hpp"
#include "kernels/cuda/scratch.hpp"

namespace gpas::cuda {

// Partial sums of each block (=), in scratch memory.
struct Partials {
    float* dw = nullptr;      // [blocks][C]; null: no weight gradient
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

inline constexpr int finish_columns = 32;  // columns per block of finish_kernel
inline constexpr int finish_groups = 16;   // threads per column

// Adds up the blocks' partial sums in a fixed order. The last block computes the gradients of the gates (+=); every
// other block computes dw (+=) of 32 columns.
GPAS_KERNEL GPAS_MOST_THREADS(finish_columns* finish_groups)
    finish_kernel(float* dw, GateGradients dgate, Partials parts, std::int64_t blocks, int columns, Gate stream,
                  Gate shortcut) {
    SHARED_ARRAY(double, sums, finish_columns* finish_groups);
    const int lane = int(threadIdx.x) % finish_columns;
    const int group = int(threadIdx.x) / finish_columns;
    if (blockIdx.x + 1 == gridDim.x) {
        if (parts.gates == nullptr || group > 1) return;  // warp 0: the stream's gate; warp 1: the shortcut's
        double sum = 0.0;
        for (std::int64_t block = lane; block < blocks; block += finish_columns) sum += parts.gates[2 * block + group];
        sum = warp_sum(sum);
        if (lane == 0 && group == 0) add_gate_gradient(dgate.stream, stream, sum);
        if (lane == 0 && group == 1) add_gate_gradient(dgate.shortcut, shortcut, sum);
        return;
    }
    const int column = int(blockIdx.x) * finish_columns + lane;
    double sum = 0.0;
    if (column < columns)
        for (std::int64_t block = group; block < blocks; block += finish_groups)
            sum += double(parts.dw[block * columns + column]);
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (group != 0 || column >= columns) return;
    for (int other = 1; other < finish_groups; ++other) sum += sums[other * finish_columns + lane];
    dw[column] += float(sum);
}

// Both addresses of dgate may be equal (a layer's two sub-layers share a gate); then the stream's sum is added first.
// All kernels that add to gate gradients run on one CUDA stream, so two of them never add at the same time.
inline void finish_sums(Context& context, Tensor dw, GateGradients dgate, const Partials& parts, std::int64_t blocks,
                        Gate stream, Gate shortcut) {
    const std::int64_t columns = dw ? dw.elements() : 0;
    if (columns == 0 && parts.gates == nullptr) return;
    launch(context.gpu(),
           {.grid = unsigned((columns + finish_columns - 1) / finish_columns + 1),
            .threads = finish_columns * finish_groups},
           finish_kernel, dw ? dw.as<float>() : nullptr, dgate, parts, blocks, int(columns), stream, shortcut);
}

}  // namespace gpas::cuda
