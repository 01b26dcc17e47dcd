// Kernels that take a row of C elements at a time: a block holds the whole row in registers, PACKS packs of V elements
// a thread, pack p of thread t at column (p · threads + t) · V.
#pragma once

#include "kernels/cuda/device/device.cuh"

#include <cstdint>
#include <initializer_list>

namespace gpas::cuda {

inline constexpr int row_threads = 512;  // of a block at most: leaves 128 registers to a thread

template <class T_, int V_, int PACKS_>
struct RowLayout {
    using T = T_;
    static constexpr int V = V_;
    static constexpr int PACKS = PACKS_;
};

// Calls f(pack index, column) for the packs that this thread holds.
template <class L, class F>
GPAS_DEVICE void for_row_packs(int columns, F&& f) {
#pragma unroll
    for (int p = 0; p < L::PACKS; ++p) {
        const int column = (p * int(blockDim.x) + int(threadIdx.x)) * L::V;
        if (column < columns) f(p, column);
    }
}

}  // namespace gpas::cuda
