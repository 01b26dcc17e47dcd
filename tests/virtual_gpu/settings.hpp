// How virtual GPUs and their NCCL behave. The environment sets it, or a test does before it uses the first GPU.
#pragma once

#include <cstdint>

namespace gpas::virtual_gpu {

enum class Scheduler {
    earliest,  // an operation runs as soon as possible; the oldest first
    latest,    // an operation runs only when the host waits, or makes no call for a while; the newest first
    random,    // Settings::seed decides
};

struct Settings {
    Scheduler scheduler = Scheduler::random;  // GPAS_VIRTUAL_GPU_SCHEDULER=earliest|latest|random
    unsigned seed = 1;                        // GPAS_VIRTUAL_GPU_SEED
    int gpus = 8;                             // GPAS_VIRTUAL_GPUS: number of GPUs of this node
    int free_mib = 4096;                      // GPAS_VIRTUAL_GPU_FREE_MIB: free memory, as if others used the rest
    int queues = 8;                           // CUDA_DEVICE_MAX_CONNECTIONS
    int multiprocessors = 132;                // GPAS_VIRTUAL_GPU_MULTIPROCESSORS
    int launch_queue = 1024;                  // GPAS_VIRTUAL_GPU_LAUNCH_QUEUE: pending operations until a launch waits
    bool lazy_modules = true;                 // CUDA_MODULE_LOADING
    double hang_seconds = 10.0;  // GPAS_VIRTUAL_GPU_HANG_SECONDS: time without progress before the deadlock search
    int nccl_version = 23203;    // GPAS_VIRTUAL_NCCL_VERSION
    bool dead_peers_are_errors = false;  // GPAS_VIRTUAL_NCCL_DEAD_PEER=error: as over a network. false: peers hang
    int slow_gpu = -1;                   // GPAS_VIRTUAL_GPU_SLOW: ordinal of a GPU whose operations take 200 us longer
    bool multi_rank_gpu = false;         // NCCL_MULTI_RANK_GPU_ENABLE=1
};

// The settings of the last use(), if there was one; otherwise those of the current environment.
Settings settings();
// Sets the settings of GPUs that are made after this call. Not thread-safe.
void use(const Settings& settings);
// Ends all virtual GPUs of this process; the next use of a GPU makes new ones. No thread may use a GPU during this
// call.
void forget_devices();

}  // namespace gpas::virtual_gpu
