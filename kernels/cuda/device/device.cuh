// The names that kernels may use, with two implementations. nvcc compiles the kernels for GPUs (nvidia.cuh). The tests
// compile the same sources as host C++ (GPAS_HOST_CUDA, tests/hostcuda) and run every GPU thread as a fibre.
//
// Kernels use CUDA's threadIdx, blockIdx, blockDim, gridDim, __syncthreads, __syncwarp, __shfl_sync, __shfl_xor_sync,
// __ballot_sync, and the following names:
//   GPAS_KERNEL, GPAS_DEVICE             mark a kernel (__global__ void), and a function that kernels call (__device__)
//   GPAS_MOST_THREADS(threads, blocks)   __launch_bounds__: most threads per block; least blocks per multiprocessor
//   SHARED_ARRAY(type, name, count)      shared memory of a fixed size
//   DYNAMIC_SHARED(name)                 unsigned char* name: the LaunchShape::shared_bytes bytes of shared memory that
//                                        the launch asks for, 128-byte aligned
//   launch(gpu, shape, kernel, args…)    starts a kernel; kernels are started in no other way
//   cp_async_16, cp_async_commit, cp_async_wait<N>, ldmatrix_x4(_trans), mma_bf16, exp2_fast, lowest_bit
//                                        one or two instructions each
#pragma once

#include "kernels/tensor.hpp"

#include <cstdint>

#ifdef GPAS_HOST_CUDA
#include "tests/hostcuda/device.hpp"
#else
#include "kernels/cuda/device/nvidia.cuh"
#endif

namespace gpas::cuda {

inline constexpr int warp_size = 32;
inline constexpr unsigned all_lanes = 0xffffffffU;
inline constexpr int largest_block = 1024;  // threads

// N elements that a thread loads or stores with one instruction.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
    T v[N];
};
// Number of elements in the widest access, 16 bytes.
template <class T>
inline constexpr int pack_of_16_bytes = 16 / int(sizeof(T));

template <int N, class T>
GPAS_DEVICE Pack<T, N> load_pack(const T* from) {
    return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, class T>
GPAS_DEVICE void store_pack(T* to, const Pack<T, N>& pack) {
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// f(0), …, f(N - 1), unrolled. An array stays in registers only if its indices are constants.
template <int N, class F>
GPAS_DEVICE void unrolled(F&& f) {
#pragma unroll
    for (int i = 0; i < N; ++i) f(i);
}

GPAS_DEVICE float to_float(float x) { return x; }
GPAS_DEVICE float to_float(bf16 x) { return float(x); }
template <class T>
GPAS_DEVICE T from_float(float x) {
    return T(x);
}

// Sum over the lanes of a warp. Every lane gets the same bits.
template <class T>
GPAS_DEVICE T warp_sum(T x) {
    for (int offset = warp_size / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(all_lanes, x, offset);
    return x;
}
GPAS_DEVICE float warp_max(float x) {
    for (int offset = warp_size / 2; offset > 0; offset /= 2) {
        const float other = __shfl_xor_sync(all_lanes, x, offset);
        x = other > x ? other : x;
    }
    return x;
}

// Sum over a block of whole warps. Every thread gets the same bits. `parts`: shared memory, one element per warp. Since
// the last __syncthreads() no thread may have used it; after the next __syncthreads() it is free again.
template <class T>
GPAS_DEVICE T block_sum(T x, T* parts) {
    x = warp_sum(x);
    const int warps = int(blockDim.x) / warp_size;
    if (warps == 1) return x;
    const int lane = int(threadIdx.x) % warp_size;
    if (lane == 0) parts[int(threadIdx.x) / warp_size] = x;
    __syncthreads();
    return warp_sum(lane < warps ? parts[lane] : T(0));
}

}  // namespace gpas::cuda
