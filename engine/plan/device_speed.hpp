// Speeds that a rank's device reaches, for the prediction of a step's time. All constants of the prediction are in
// device_speed.cpp, with the measurements that they come from.
#pragma once

#include "engine/plan/device_table.hpp"
#include "io/config/run_config.hpp"

#include <cstdint>

namespace gpas {

// Rates of memory-bound kernels as shares of the copy's rate. Bytes are counted as in bench/bench_kernels.cpp.
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
    double bytes = 0.0;    // per second and rank, in one direction
    double latency = 0.0;  // seconds per step of a ring
};

struct DeviceSpeed {
    // A product [m,k] x [k,n] takes the larger of two times: 2 m n (k + product_depth) / product_flops seconds, and
    // its operands' bytes at the copy's rate. The first is longer if the product has fewer than product_tiles tiles
    // (a tile: 128 x 256 outputs, at most 1024 terms each). Accumulated fp32 outputs add a read and a write.
    double product_flops = 0.0;  // per second
    double product_depth = 0.0;  // terms
    double product_tiles = 0.0;
    // Causal attention, FLOP/s for head_dim 64 and 128. Half of the scores is counted, plus the tiles of attention_tile
    // tokens on the diagonal, which kernels compute whole.
    double attention_forward[2] = {0.0, 0.0};
    double attention_backward[2] = {0.0, 0.0};
    double attention_tile = 0.0;
    double copy_bytes = 0.0;  // per second; bytes read + bytes written
    KernelShares shares;
    double launch_seconds = 0.0;  // per operation
    double step_seconds = 0.0;    // per step: waits of the host
    // Rate of products and attention within a step, divided by their rate in a benchmark (sustained power and clocks).
    double sustained = 1.0;
    std::int64_t head_chunk = 0;   // tokens; 0: the program's value
    MessageSpeed node;             // between ranks of a node
    MessageSpeed network;          // from a rank to other nodes
    int per_node = 8;              // ranks per node
    bool overlaps_compute = true;  // messages overlap with computing
};

// Speed of a GPU. network: the link between nodes.
DeviceSpeed speed_of_gpu(const DeviceFigures& device, ComputeDtype dtype, LinkKind network = LinkKind::infiniband400);
// Speed of ranks with `threads` threads each, on a processor like that of docs/results/cpu-step.md.
DeviceSpeed speed_of_cpu(ComputeDtype dtype, int threads);
// Speed of the H200 with the kernels of commit 382c6e8, to compare the prediction with the measurements of that commit.
DeviceSpeed speed_of_h200_at_382c6e8();

}  // namespace gpas
