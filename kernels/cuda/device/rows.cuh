// Layout of kernels that process a row of C elements per block. The block holds the whole row in registers: PACKS packs
// of V elements per thread. Pack p of thread t holds the columns that begin at (p · threads + t) · V:
//
//   columns    0         V             …  (threads-1) V    threads V            …
//   holder   | thread 0  | thread 1  | …  | last thread | thread 0          | …
//   pack     | 0         | 0         | …  | 0           | 1                 | …
#pragma once

#include "kernels/cuda/device/device.cuh"

#include <cstdint>
#include <initializer_list>

namespace gpas::cuda {

inline constexpr int row_threads = 512;  // largest block: leaves 128 registers per thread

template <class T_, int V_, int PACKS_>
struct RowLayout {
    using T = T_;
    static constexpr int V = V_;
    static constexpr int PACKS = PACKS_;
};

// Calls f(pack index, first column of the pack) for each pack of the row that this thread holds.
template <class L, class F>
GPAS_DEVICE void for_row_packs(int columns, F&& f) {
    unrolled<L::PACKS>([&](int p) {
        const int column = (p * int(blockDim.x) + int(threadIdx.x)) * L::V;
        if (column < columns) f(p, column);
    });
}

}  // namespace gpas::cuda
