// Where an operation runs and what it may use while it does: threads or a GPU's stream, and scratch memory. One per
// rank.
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
    // scratch: memory for temporaries of one operation at a time; its capacity is what the ops' plans asked for.
    // Operations run on the device that holds it: this machine's processors, or the GPU that this thread has chosen.
    // On a GPU they are enqueued: what they write may be read after synchronize() or copy().
    Context(int threads, Arena scratch);

    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    Device device() const { return scratch_.device(); }
    bool on_cpu() const { return device() == Device::cpu; }
    int threads() const { return threads_; }  // of the host
    Arena& scratch() { return scratch_; }
    cpu::MatmulCache& matmul_cache() { return *matmul_cache_; }
    cuda::Gpu& gpu();  // Error(internal) on the CPU
    // The same GPU, for an object that uses its stream until the object's own end: the stream then lives as long as
    // the last such object, whether the context is destroyed before that object or after it. Error(internal) on the
    // CPU.
    std::shared_ptr<cuda::Gpu> shared_gpu();
    // Waits until every operation called so far is done.
    void synchronize();
    // Whether spans of work are named for a profiler (kernels/cuda/profiling.hpp). Off at first.
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
