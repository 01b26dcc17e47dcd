// Implementation of device.cuh for GPUs (sm_80 and later).
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
    std::int64_t shared_bytes = 0;  // size of DYNAMIC_SHARED
};

// Enqueues the kernel on the GPU's compute stream. Error(environment) if CUDA refuses the launch.
template <class... Parameters, class... Arguments>
void launch(Gpu& gpu, const LaunchShape& shape, void (*kernel)(Parameters...), Arguments... arguments) {
    constexpr std::int64_t granted_unasked = 48 << 10;  // CUDA's limit without cudaFuncSetAttribute
    if (shape.shared_bytes > granted_unasked)
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   int(shape.shared_bytes)),
              "cudaFuncSetAttribute");
    kernel<<<shape.grid, unsigned(shape.threads), std::size_t(shape.shared_bytes),
             static_cast<cudaStream_t>(gpu.stream())>>>(Parameters(arguments)...);
    check(cudaGetLastError(), "the launch of a kernel");
}

// ---- one PTX instruction each ---------------------------------------------------------------------------------------

// Index of the lowest set bit; x != 0.
GPAS_DEVICE int lowest_bit(unsigned x) { return __ffs(int(x)) - 1; }

// 2^x, approximate; subnormal results become 0.
GPAS_DEVICE float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Two floats rounded to bf16; `low` in bits 0 to 15, `high` in bits 16 to 31.
GPAS_DEVICE std::uint32_t pack_bf16(float low, float high) {
    std::uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

GPAS_DEVICE std::uint32_t shared_address(const void* shared) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}

// Starts an asynchronous copy of 16 bytes from global to shared memory. If !read, nothing is read and the 16 bytes of
// shared memory become 0. Both addresses are 16-byte aligned.
GPAS_DEVICE void cp_async_16(void* shared, const void* global, bool read) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(read ? 16 : 0)
                 : "memory");
}
// Ends a group: the copies that this thread started since its previous group.
GPAS_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most N of this thread's groups are unfinished.
template <int N>
GPAS_DEVICE void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Operands of c += a b for one warp: a 16 × 16, b 16 × 8, c 16 × 8. Each lane holds a fragment of each operand, in the
// layout of PTX's mma.m16n8k16. With q = lane / 4 (0 … 7) and t = lane % 4:
//
//   a     columns 2t, 2t+1   columns 2t+8, 2t+9        b             column q         c         columns 2t    2t+1
//   row q        r[0]               r[2]               rows 2t, 2t+1     r[0]         row q         f[0]      f[1]
//   row q+8      r[1]               r[3]               rows 2t+8, 2t+9   r[1]         row q+8       f[2]      f[3]
//
// So the four lanes 4q … 4q + 3 (a quad) share rows q and q + 8 of c. Each r holds two bf16, the lower index in the
// lower half.
struct FragmentA {  // 16 × 16 bf16
    std::uint32_t r[4];
};
struct FragmentB {  // 16 × 8 bf16
    std::uint32_t r[2];
};
struct FragmentC {  // 16 × 8 fp32
    float f[4];
};

// c += a b
GPAS_DEVICE void mma_bf16(FragmentC& c, const FragmentA& a, const FragmentB& b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.f[0]), "+f"(c.f[1]), "+f"(c.f[2]), "+f"(c.f[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
}

// Loads four 8 × 8 matrices of 16-bit elements from shared memory. Lane l passes the address of row l%8 of matrix l/8
// (16 bytes, 16-byte aligned). r[i] of lane l receives elements (l/4, 2·(l%4)) and (l/4, 2·(l%4) + 1) of matrix i.
GPAS_DEVICE FragmentA ldmatrix_x4(const void* row) {
    FragmentA m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(m.r[0]), "=r"(m.r[1]), "=r"(m.r[2]), "=r"(m.r[3])
                 : "r"(shared_address(row))
                 : "memory");
    return m;
}
// ldmatrix_x4 with transposed matrices: r[i] of lane l receives elements (2·(l%4), l/4) and (2·(l%4) + 1, l/4) of
// matrix i.
GPAS_DEVICE FragmentA ldmatrix_x4_trans(const void* row) {
    FragmentA m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(m.r[0]), "=r"(m.r[1]), "=r"(m.r[2]), "=r"(m.r[3])
                 : "r"(shared_address(row))
                 : "memory");
    return m;
}

}  // namespace gpas::cuda
