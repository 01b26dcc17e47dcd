// What a rank's device reaches, for the prediction of a step. All constants of the prediction stand in
// device_speed.cpp, with what they were measured or fitted to.
#pragma once

#include "engine/plan/device_table.hpp"
#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

// Rates of memory-bound kernels as shares of the copy's, bytes counted as bench/bench_kernels.cpp does.
struct KernelShares {
    double rmsnorm = 1.0;
    double residual_rmsnorm = 1.0;
    double rmsnorm_backward = 1.0;
    double swiglu = 1.0;
    double rope = 1.0;
    double embedding = 1.0;
    double embedding_backward = 1.0;
    double cross_entropy = 1.0;
    double optimizer = 1.0;
};

struct MessageSpeed {
    double bytes = 0.0;    // a second, of a rank, one direction
    double latency = 0.0;  // seconds of a step of a ring
};

struct DeviceSpeed {
    // A product [m,k] x [k,n] takes 2 m n (k + product_depth) / product_flops seconds, longer if it has fewer than
    // product_tiles tiles of 128 x 256 with at most 1024 terms; or as long as its operands take at the copy's rate.
    // Accumulated fp32 outputs are read and written after that.
    double product_flops = 0.0;
    double product_depth = 0.0;
    double product_tiles = 0.0;
    // Causal attention, half of the scores counted, a head of 64 and of 128; tiles of attention_tile tokens on the
    // diagonal are computed whole.
    double attention_forward[2] = {0.0, 0.0};
    double attention_backward[2] = {0.0, 0.0};
    double attention_tile = 0.0;
    double copy_bytes = 0.0;  // a second, read and written
    KernelShares shares;
    double launch_seconds = 0.0;  // of an operation
    double step_seconds = 0.0;    // of a step: what the host waits for
    // Products and attention within a step, in terms of their rates alone (sustained power and clocks).
    double sustained = 1.0;
    std::int64_t head_chunk = 0;  // tokens; 0: as the program
    MessageSpeed node;            // between ranks of a node
    MessageSpeed network;         // of a rank to other nodes
    int per_node = 8;
    bool beside_compute = true;  // messages move while the device computes
};

// Of a GPU; network: what connects its nodes.
DeviceSpeed speed_of_gpu(const DeviceFigures& device, ComputeDtype dtype, LinkKind network = LinkKind::infiniband400);
// Of ranks of `threads` threads each on a processor like that of docs/results/cpu-step.md.
DeviceSpeed speed_of_cpu(ComputeDtype dtype, int threads);
// The H200 with the kernels of commit 382c6e8, to hold the prediction against what was measured then.
DeviceSpeed speed_of_h200_at_382c6e8();

}  // namespace gpas
