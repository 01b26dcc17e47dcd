// The device that operations run on, and what they use there: threads or a GPU's stream, and scratch memory. One
// Context per rank.
#pragma once

#include "kernels/arena.hpp"

#include <memory>

namespace gpas {

namespace cpu {
class MatmulCache;
}
namespace cuda {
class Gpu;
}

class Context {
public:
    // threads: host threads of an operation on the CPU, at least 1 (Error(internal) otherwise).
    // scratch: memory for the temporaries of one operation at a time, of scratch_bytes() (kernels/ops.hpp) bytes.
    // Operations run on the device that holds the scratch memory: this machine's processors, or the GPU that this
    // thread has chosen (cuda::choose_device()). On a GPU operations are enqueued: the host may read their outputs
    // after synchronize(), or through copy().
    Context(int threads, Arena scratch);

    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    Device device() const { return scratch_.device(); }
    bool on_cpu() const { return device() == Device::cpu; }
    int threads() const { return threads_; }  // of the host, also if the device is a GPU
    Arena& scratch() { return scratch_; }
    cpu::MatmulCache& matmul_cache() { return *matmul_cache_; }
    cuda::Gpu& gpu();  // Error(internal) on the CPU
    // The same GPU, for an object that uses the GPU's stream in its destructor: the stream is destroyed with its last
    // owner, so the order in which the context and that object are destroyed does not matter. Error(internal) on the
    // CPU.
    std::shared_ptr<cuda::Gpu> shared_gpu();
    // Waits until every operation called so far has finished. On the CPU it returns at once.
    void synchronize();
    // Whether NVTX ranges are emitted for a profiler (kernels/cuda/profiling.hpp). Initially off.
    bool names_work() const { return names_work_; }
    void name_work(bool on) { names_work_ = on; }

private:
    int threads_;
    bool names_work_ = false;
    Arena scratch_;
    std::unique_ptr<cpu::MatmulCache> matmul_cache_;
    std::shared_ptr<cuda::Gpu> gpu_;
};

}  // namespace gpas
