// How virtual GPUs and their NCCL behave: from the environment, or from a test before the first GPU is used.
#pragma once

#include <cstdint>

namespace gpas::virtual_gpu {

enum class Scheduler {
    earliest,  // work runs as soon as it may, the oldest first
    latest,    // work runs when the host waits for it or stands still, the newest first
    random,
};

struct Settings {
    Scheduler scheduler = Scheduler::random;  // GPAS_VIRTUAL_GPU_SCHEDULER=earliest|latest|random
    unsigned seed = 1;                        // GPAS_VIRTUAL_GPU_SEED
    int gpus = 8;                             // GPAS_VIRTUAL_GPUS: of this node
    int free_mib = 4096;                      // GPAS_VIRTUAL_GPU_FREE_MIB: of memory, as if others had the rest
    int queues = 8;                           // CUDA_DEVICE_MAX_CONNECTIONS
    int multiprocessors = 132;                // GPAS_VIRTUAL_GPU_MULTIPROCESSORS
    int launch_queue = 1024;                  // GPAS_VIRTUAL_GPU_LAUNCH_QUEUE: operations before a launch waits
    bool lazy_modules = true;                 // CUDA_MODULE_LOADING
    double hang_seconds = 10.0;          // GPAS_VIRTUAL_GPU_HANG_SECONDS: without progress, a deadlock is looked for
    int nccl_version = 23203;            // GPAS_VIRTUAL_NCCL_VERSION
    bool dead_peers_are_errors = false;  // GPAS_VIRTUAL_NCCL_DEAD_PEER=error: as over a network; else peers hang
    int slow_gpu = -1;                   // GPAS_VIRTUAL_GPU_SLOW: of this ordinal, each operation takes 200 us more
    bool multi_rank_gpu = false;         // NCCL_MULTI_RANK_GPU_ENABLE=1
};

// Those of tests, if they have set any; else of the environment as it is now.
Settings settings();
// For GPUs that are made after the call. Not thread-safe.
void use(const Settings& settings);
// Ends all virtual GPUs of this process: the next use makes new ones. No thread may use one.
void forget_devices();

}  // namespace gpas::virtual_gpu
