// The vocabulary of kernels on a GPU (sm_80 and later).
#pragma once

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/tensor.hpp"

#include <cuda_runtime.h>

#include <cstdint>

#define GPAS_KERNEL __global__ void
#define GPAS_DEVICE __device__ __forceinline__
#define GPAS_MOST_THREADS(...) __launch_bounds__(__VA_ARGS__)
#define SHARED_ARRAY(type, name, count) __shared__ type name[count]
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]

namespace gpas::cuda {

struct LaunchShape {
    dim3 grid;
    int threads = 0;
    std::int64_t shared_bytes = 0;  // of DYNAMIC_SHARED
};

// Enqueues the kernel on the GPU's compute stream.
template <class... Parameters, class... Arguments>
void launch(Gpu& gpu, const LaunchShape& shape, void (*kernel)(Parameters...), Arguments... arguments) {
    constexpr std::int64_t granted_unasked = 48 << 10;
    if (shape.shared_bytes > granted_unasked)
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   int(shape.shared_bytes)),
              "cudaFuncSetAttribute");
    kernel<<<shape.grid, unsigned(shape.threads), std::size_t(shape.shared_bytes),
             static_cast<cudaStream_t>(gpu.stream())>>>(Parameters(arguments)...);
    check(cudaGetLastError(), "the launch of a kernel");
}

// ---- one PTX instruction each ---------------------------------------------------------------------------------------

GPAS_DEVICE int lowest_bit(unsigned x) { return __ffs(int(x)) - 1; }

GPAS_DEVICE float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Two floats rounded to bf16, `low` in the lower half.
GPAS_DEVICE std::uint32_t pack_bf16(float low, float high) {
    std::uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

GPAS_DEVICE std::uint32_t shared_address(const void* shared) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}

// Copies 16 bytes from global to shared memory beside the program; zeroes where !read (nothing is read then).
GPAS_DEVICE void cp_async_16(void* shared, const void* global, bool read) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(read ? 16 : 0)
                 : "memory");
}
GPAS_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most N of this thread's groups are under way.
template <int N>
GPAS_DEVICE void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Fragments of one warp, as PTX's mma.m16n8k16 lays them out.
struct FragmentA {  // 16 × 16 bf16
    std::uint32_t r[4];
};
struct FragmentB {  // 16 × 8 bf16
    std::uint32_t r[2];
};
struct FragmentC {  // 16 × 8 fp32: row lane/4 (+8 for 2, 3), column 2·(lane%4) (+1 for 1, 3)
    float f[4];
};

// c += a b
GPAS_DEVICE void mma_bf16(FragmentC& c, const FragmentA& a, const FragmentB& b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.f[0]), "+f"(c.f[1]), "+f"(c.f[2]), "+f"(c.f[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
}

// Four 8 × 8 matrices of 16-bit elements; lane l gives the address of row l%8 of matrix l/8 (16 bytes, aligned) and
// gets of each matrix the elements (l/4, 2·(l%4)) and the next.
GPAS_DEVICE FragmentA ldmatrix_x4(const void* row) {
    FragmentA m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(m.r[0]), "=r"(m.r[1]), "=r"(m.r[2]), "=r"(m.r[3])
                 : "r"(shared_address(row))
                 : "memory");
    return m;
}
// The same of the transposed matrices: elements (2·(l%4), l/4) and the one below.
GPAS_DEVICE FragmentA ldmatrix_x4_trans(const void* row) {
    FragmentA m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(m.r[0]), "=r"(m.r[1]), "=r"(m.r[2]), "=r"(m.r[3])
                 : "r"(shared_address(row))
                 : "memory");
    return m;
}

}  // namespace gpas::cuda
