// Adds up the partial sums of the blocks of a kernel.
#include "kernels/cuda/residual_sums.cuh"

namespace gpas::cuda {
namespace {

constexpr int finish_columns = 32;  // columns per block of finish_kernel
constexpr int finish_groups = 16;   // threads per column

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

}  // namespace

void finish_sums(Context& context, Tensor dw, GateGradients dgate, const Partials& parts, std::int64_t blocks,
                 Gate stream, Gate shortcut) {
    const std::int64_t columns = dw ? dw.elements() : 0;
    if (columns == 0 && parts.gates == nullptr) return;
    launch(context.gpu(),
           {.grid = unsigned((columns + finish_columns - 1) / finish_columns + 1),
            .threads = finish_columns * finish_groups},
           finish_kernel, dw ? dw.as<float>() : nullptr, dgate, parts, blocks, int(columns), stream, shortcut);
}

}  // namespace gpas::cuda
