// One GPU as a rank uses it, and the memory on it. Nothing of CUDA's own headers is seen from here, so that code which
// only passes these on builds without a toolkit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace gpas::cuda {

class MatmulPlans;

// Whether this gpas was built with CUDA.
bool built();
// Sets what CUDA and NCCL read from the environment when they start, unless the user has: every stream has a hardware queue of its
// own (CUDA_DEVICE_MAX_CONNECTIONS), all kernels are loaded at the start (CUDA_MODULE_LOADING), all ranks of a group are
// connected at the start (NCCL_RUNTIME_CONNECT). Before the first call of CUDA, and before other threads.
void prepare_environment();
// One line that names the variables whose values, set by the user, hold up a rank with `streams` streams. Empty: none.
std::string environment_warning(int streams);
// How many GPUs this process sees; 0: `why_none` says why (no driver, built without CUDA, …).
int device_count(std::string* why_none = nullptr);
// The GPU that this thread uses from now on. Error(environment) when it cannot.
void choose_device(int index);
// Of the chosen one.
std::string device_name();
std::int64_t device_memory_bytes();
std::int64_t free_memory_bytes();  // now, on the whole GPU: what other processes hold is not free
// Of one of the GPUs that this process sees: "0000:1b:00.0". Error(environment).
std::string pci_bus_id(int index);
int chosen_device();  // its index

// Device memory, zeroed, 256-byte aligned. Error(environment) when there is not enough.
void* allocate(std::int64_t bytes);
// Waits for the GPU. While an error unwinds the stack nothing is freed: the GPU may never be done.
void release(void* memory) noexcept;
// Memory of the host that GPUs reach without another copy. Error(environment) when there is not enough.
void* allocate_pinned(std::int64_t bytes);
void release_pinned(void* memory) noexcept;

// The chosen GPU's compute stream and the libraries' state that goes with it. One thread uses it.
class Gpu {
public:
    Gpu();
    ~Gpu();
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;

    void* stream() const;  // cudaStream_t
    int multiprocessors() const;
    MatmulPlans& matmul_plans();
    // Waits until everything enqueued is done. While it does, calls the watchers ten times a second with the seconds it
    // has waited so far: they throw where waiting longer has no sense. Once more at the end: they throw where what was done
    // cannot be used.
    void synchronize();
    // The same until done() says so, which is asked without pause.
    void wait_until(const std::function<bool()>& done);
    // How often the host has waited for the GPU so far: here, in marks, in copies that return when they are done.
    std::int64_t waits() const;
    void add_watcher(const void* owner, std::function<void(double seconds)> watcher);
    void remove_watcher(const void* owner);
    // In the order of the stream. Memory of the host may be touched again when these return.
    void copy_to_host(void* to, const void* from, std::int64_t bytes);
    void copy_to_device(void* to, const void* from, std::int64_t bytes);
    // The same with pinned memory of the host, enqueued: it may be touched again after synchronize().
    void copy_to_pinned(void* to, const void* from, std::int64_t bytes);
    void copy_from_pinned(void* to, const void* from, std::int64_t bytes);
    void copy_on_device(void* to, const void* from, std::int64_t bytes);  // enqueued
    void set_bytes(void* to, int value, std::int64_t bytes);              // enqueued

private:
    friend class Mark;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// A place in the compute stream of a GPU that the host can wait for.
class Mark {
public:
    explicit Mark(std::shared_ptr<Gpu> gpu);
    ~Mark();
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

    void set();            // here: behind everything that is enqueued so far
    bool reached() const;  // also if it was never set
    void wait();  // as Gpu::synchronize(), but for no more than stood before the mark; no wait if it is reached
    // Of the GPU's time, between two marks that are reached.
    static double seconds_between(const Mark& from, const Mark& to);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gpas::cuda
