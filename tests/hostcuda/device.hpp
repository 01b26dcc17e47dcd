// The vocabulary of kernels (kernels/cuda/device/device.cuh) on the host: a block's threads are fibres of one OS
// thread, blocks run one after another. See tests/hostcuda/README.md for what this finds and what it cannot.
#pragma once

#include "kernels/cuda/gpu.hpp"
#include "kernels/tensor.hpp"
#include "tests/hostcuda/run.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#define GPAS_KERNEL static void
#define GPAS_DEVICE static inline
#define GPAS_MOST_THREADS(...)
#define SHARED_ARRAY(type, name, count) \
    static const char name##_place = 0; \
    type* const name = static_cast<type*>(::gpas::hostcuda::shared_array(&name##_place, sizeof(type) * (count)))
#define DYNAMIC_SHARED(name) unsigned char* const name = ::gpas::hostcuda::dynamic_shared()

#define threadIdx (::gpas::hostcuda::thread_index())
#define blockIdx (::gpas::hostcuda::block_index())
#define blockDim (::gpas::hostcuda::block_size())
#define gridDim (::gpas::hostcuda::grid_size())
#define __syncthreads() ::gpas::hostcuda::block_barrier({__FILE__, __LINE__})
#define __syncwarp(...) ::gpas::hostcuda::warp_barrier({__FILE__, __LINE__} __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_sync(mask, value, lane) ::gpas::hostcuda::shuffle({__FILE__, __LINE__}, mask, value, lane)
#define __shfl_xor_sync(mask, value, other) ::gpas::hostcuda::shuffle_xor({__FILE__, __LINE__}, mask, value, other)
#define __ballot_sync(mask, value) ::gpas::hostcuda::ballot({__FILE__, __LINE__}, mask, value)

using dim3 = ::gpas::hostcuda::Dim3;

namespace gpas::cuda {

struct LaunchShape {
    dim3 grid;
    int threads = 0;
    std::int64_t shared_bytes = 0;
};

template <class... Parameters, class... Arguments>
void launch(Gpu& gpu, const LaunchShape& shape, void (*kernel)(Parameters...), Arguments... arguments) {
    hostcuda::enqueue(gpu.stream(), reinterpret_cast<const void*>(kernel), [=] {
        hostcuda::run(shape.grid, shape.threads, shape.shared_bytes, [&] { kernel(Parameters(arguments)...); });
    });
}

static inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
static inline int lowest_bit(unsigned x) { return std::countr_zero(x); }
static inline float exp2_fast(float x) { return std::exp2(x); }

static inline std::uint32_t pack_bf16(float low, float high) {
    return std::uint32_t(bf16(low).bits) | std::uint32_t(bf16(high).bits) << 16;
}

// Copies when waited for, not before: a missing wait shows.
static inline void cp_async_16(void* shared, const void* global, bool read) {
    hostcuda::cp_async_16(shared, global, read);
}
static inline void cp_async_commit() { hostcuda::cp_async_commit(); }
template <int N>
static inline void cp_async_wait() {
    hostcuda::cp_async_wait(N);
}

struct FragmentA {
    std::uint32_t r[4];
};
struct FragmentB {
    std::uint32_t r[2];
};
struct FragmentC {
    float f[4];
};

static inline float bf16_half(std::uint32_t word, int half) {
    bf16 x;
    x.bits = std::uint16_t(half == 0 ? word : word >> 16);
    return float(x);
}

static inline void mma_bf16(FragmentC& c, const FragmentA& a, const FragmentB& b) {
    struct In {
        FragmentA a;
        FragmentB b;
    };
    const In mine{a, b};
    In all[32];
    hostcuda::exchange({"mma", 0}, hostcuda::every_lane, &mine, all, sizeof mine);
    const int lane = hostcuda::lane();
    for (int i = 0; i < 4; ++i) {
        const int row = lane / 4 + i / 2 * 8;
        const int column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; ++k) {
            const std::uint32_t word_a = all[row % 8 * 4 + k % 8 / 2].a.r[row / 8 + k / 8 * 2];
            const std::uint32_t word_b = all[column * 4 + k % 8 / 2].b.r[k / 8];
            c.f[i] += bf16_half(word_a, k % 2) * bf16_half(word_b, k % 2);
        }
    }
}

static inline FragmentA load_matrices(const void* row, bool transposed) {
    hostcuda::require_aligned(row, 16, "ldmatrix");
    const void* rows[32];
    hostcuda::exchange({"ldmatrix", 0}, hostcuda::every_lane, &row, rows, sizeof row);
    const int lane = hostcuda::lane();
    FragmentA m;
    for (int matrix = 0; matrix < 4; ++matrix) {
        std::uint16_t pair[2];
        for (int i = 0; i < 2; ++i) {
            const int r = transposed ? lane % 4 * 2 + i : lane / 4;
            const int c = transposed ? lane / 4 : lane % 4 * 2 + i;
            std::memcpy(&pair[i], static_cast<const char*>(rows[matrix * 8 + r]) + c * 2, 2);
        }
        std::memcpy(&m.r[matrix], pair, 4);
    }
    return m;
}
static inline FragmentA ldmatrix_x4(const void* row) { return load_matrices(row, false); }
static inline FragmentA ldmatrix_x4_trans(const void* row) { return load_matrices(row, true); }

}  // namespace gpas::cuda
