#include "engine/plan/device_speed.hpp"

#include <algorithm>

namespace gpas {
namespace {

// ---- measured: docs/results/gpu.md, one H200, commit c27b44e -----------------------------------------------------

constexpr double h200_sheet_flops = 989e12, h200_sheet_bytes = 4800e9, h200_multiprocessors = 132;
constexpr double h200_copy_bytes = 4257e9;  // 1 GiB
// Fitted to the 42 matrix products on that page (bench/plan_products.py): root mean square error 7.5 %, largest 17 %.
constexpr double h200_product_flops = 740e12, h200_product_depth = 96;
// Kernels attention and attention_backward: [0] 8 x 2048 tokens with head_dim 64, [1] 4 x 4096 tokens with head_dim
// 128. The factor (1 + tile / sequence) accounts for whole tiles on the diagonal.
constexpr double attention_tile = 64;
constexpr double h200_forward[2] = {233.4e12 * (1 + attention_tile / 2048), 262.1e12 * (1 + attention_tile / 4096)};
constexpr double h200_backward[2] = {191.9e12 * (1 + attention_tile / 2048), 183.8e12 * (1 + attention_tile / 4096)};
constexpr double old_forward[2] = {137.5e9 / 862.4e-6 * (1 + attention_tile / 2048),
                                   549.8e9 / 2667.5e-6 * (1 + attention_tile / 4096)};
constexpr double old_backward[2] = {343.7e9 / 3145.2e-6 * (1 + attention_tile / 2048),
                                    1374.4e9 / 9587.5e-6 * (1 + attention_tile / 4096)};
// Means of the values measured with the sizes of the 1B and the 7B model.
constexpr KernelShares gpu_shares{.rmsnorm = 0.58,
                                  .residual_rmsnorm = 0.78,
                                  .rmsnorm_backward = 0.56,
                                  .swiglu = 0.97,
                                  .rope = 0.82,
                                  .embedding = 0.77,
                                  .embedding_backward = 0.135,
                                  .cross_entropy = 0.94,
                                  .optimizer = 0.94};
constexpr double old_embedding_backward = 0.135 * 483.8 / 7182.2;

// Fitted to one measured step, at commit c27b44e (290.3 ms), which takes longer than the sum of its kernels.
constexpr double gpu_sustained = 0.945;

// Not measured but estimated from the source: the gap between two kernels, and the waits for loss and norm per step.
constexpr double gpu_launch_seconds = 1e-6, gpu_step_seconds = 0.3e-3;

// ---- measured: docs/results/cpu-step.md, two threads of an AMD EPYC with AVX-512, commit 311b4cd -------------------

constexpr double cpu_threads = 2;
constexpr double cpu_fp32_flops = 452e9, cpu_bf16_flops = 820e9;  // oneDNN, on the model's products
// Fitted to the measured fp32 and bf16 steps without recomputation. Attention has the rate of a matrix product.
constexpr double cpu_bytes = 26e9;

DeviceSpeed with_links(DeviceSpeed speed, LinkKind node, LinkKind network, int per_node) {
    speed.node = {figures_of(node).gbytes * 1e9, figures_of(node).latency_seconds};
    speed.network = {figures_of(network).gbytes * 1e9, figures_of(network).latency_seconds};
    speed.per_node = per_node;
    return speed;
}

}  // namespace

// Rates of other devices are scaled from the H200: matrix products and copies by the data sheets' rates; attention by
// the number of multiprocessors, up to half of the data sheet's rate, since its kernels use warp-level products.
DeviceSpeed speed_of_gpu(const DeviceFigures& device, ComputeDtype dtype, LinkKind network) {
    const bool bf16 = dtype == ComputeDtype::bf16;
    const double sheet = 1e12 * (bf16 ? device.bf16_tflops : device.fp32_tflops);
    const double multiprocessors = device.multiprocessors / h200_multiprocessors;
    DeviceSpeed speed{.product_flops = h200_product_flops / h200_sheet_flops * sheet,
                      .product_depth = h200_product_depth,
                      .product_tiles = double(device.multiprocessors),
                      .attention_tile = attention_tile,
                      .copy_bytes = h200_copy_bytes / h200_sheet_bytes * 1e9 * device.memory_gbytes,
                      .shares = gpu_shares,
                      .launch_seconds = gpu_launch_seconds,
                      .step_seconds = gpu_step_seconds,
                      .sustained = gpu_sustained};
    for (int i = 0; i < 2; ++i) {
        speed.attention_forward[i] = std::min(h200_forward[i] * multiprocessors, 0.5 * sheet);
        speed.attention_backward[i] = std::min(h200_backward[i] * multiprocessors, 0.5 * sheet);
    }
    return with_links(speed, device.link, network, device.per_node);
}

DeviceSpeed speed_of_h200_at_382c6e8() {
    DeviceSpeed speed = speed_of_gpu(*figures_named("h200"), ComputeDtype::bf16);
    std::copy(old_forward, old_forward + 2, speed.attention_forward);
    std::copy(old_backward, old_backward + 2, speed.attention_backward);
    speed.shares.embedding_backward = old_embedding_backward;
    speed.head_chunk = 512;
    return speed;
}

DeviceSpeed speed_of_cpu(ComputeDtype dtype, int threads) {
    const bool bf16 = dtype == ComputeDtype::bf16;
    const double share = threads / cpu_threads;
    const double flops = share * (bf16 ? cpu_bf16_flops : cpu_fp32_flops);
    DeviceSpeed speed{.product_flops = flops,
                      .attention_forward = {flops, flops},
                      .attention_backward = {flops, flops},
                      .copy_bytes = share * cpu_bytes,
                      .overlaps_compute = false};
    return with_links(speed, LinkKind::host, LinkKind::host, 1 << 20);
}

}  // namespace gpas
