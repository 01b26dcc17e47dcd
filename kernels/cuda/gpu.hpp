// A rank's GPU: choice, memory, compute stream, copies and events. This header includes no CUDA header, so that code
// that includes it builds without a CUDA toolkit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace gpas::cuda {

class MatmulPlans;

// Whether this gpas was built with CUDA.
bool built();
// Sets environment variables that CUDA and NCCL read when they start. A variable that the user has set stays unchanged.
//   CUDA_DEVICE_MAX_CONNECTIONS=32: each stream gets a hardware queue of its own
//   CUDA_MODULE_LOADING=EAGER:      all kernels are loaded at start-up
//   NCCL_RUNTIME_CONNECT=0:         all ranks of a communicator are connected when it is created
// Call it before the first CUDA call, and before other threads exist (it calls setenv).
void prepare_environment();
// One line that names environment variables whose values make the streams of a rank with `streams` streams wait for
// each other; empty if the values are good.
std::string environment_warning(int streams);
// Number of GPUs that this process sees. If it is 0 and why_none is not null, *why_none becomes the reason (no driver,
// built without CUDA, …).
int device_count(std::string* why_none = nullptr);
// Makes GPU `index` the one that this thread uses from now on ("the chosen GPU"). Error(environment) if that fails.
void choose_device(int index);
// Of the chosen GPU.
std::string device_name();
std::int64_t device_memory_bytes();
std::int64_t free_memory_bytes();  // of the whole GPU, at this moment; memory of other processes does not count as free
// Of GPU `index` of those that this process sees, in lower case as Linux writes it: "0000:1b:00.0". Error(environment)
// if there is no such GPU.
std::string pci_bus_id(int index);
int chosen_device();  // index of the chosen GPU

// Allocates device memory, zeroed, 256-byte aligned. Error(environment) if there is not enough.
void* allocate(std::int64_t bytes);
// Frees device memory, after the GPU has finished its work. While an exception unwinds the stack, nothing is freed:
// the GPU may hang in a collective, and the free would hang with it.
void release(void* memory) noexcept;
// Allocates page-locked host memory, which GPUs access directly (DMA). Error(environment) if there is not enough.
void* allocate_pinned(std::int64_t bytes);
// Frees memory of allocate_pinned(). While an exception unwinds the stack, nothing is freed.
void release_pinned(void* memory) noexcept;

// The compute stream of the chosen GPU, and the state of libraries that use it (cuBLASLt). Not thread-safe: one
// thread uses it.
class Gpu {
public:
    Gpu();
    ~Gpu();
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;

    void* stream() const;  // cudaStream_t
    int multiprocessors() const;
    MatmulPlans& matmul_plans();
    // Waits until all enqueued work is done. While it waits, it calls every watcher ten times per second with the
    // number of seconds waited so far; a watcher throws if waiting longer is pointless (a lost rank, say). When the
    // work is done it calls every watcher once more; a watcher throws if the results cannot be used.
    // Error(environment) if CUDA reports an error.
    void synchronize();
    // Waits until done() returns true, and calls the watchers as synchronize() does. done() is polled without pause.
    void wait_until(const std::function<bool()>& done);
    // Number of times that the host has waited for the GPU: in synchronize(), wait_until(), Mark::wait() (unless the
    // mark was reached already), copy_to_host() and copy_to_device().
    std::int64_t waits() const;
    // Watchers run on the thread that waits. `owner` identifies a watcher: an owner's new watcher replaces its old one.
    void add_watcher(const void* owner, std::function<void(double seconds)> watcher);
    void remove_watcher(const void* owner);
    // Copies in stream order. The host may read and overwrite its memory when these return.
    void copy_to_host(void* to, const void* from, std::int64_t bytes);
    void copy_to_device(void* to, const void* from, std::int64_t bytes);
    // Enqueue a copy from or to pinned host memory. The host may read and overwrite that memory after synchronize().
    void copy_to_pinned(void* to, const void* from, std::int64_t bytes);
    void copy_from_pinned(void* to, const void* from, std::int64_t bytes);
    void copy_on_device(void* to, const void* from, std::int64_t bytes);  // enqueued
    void set_bytes(void* to, int value, std::int64_t bytes);              // enqueued

private:
    friend class Mark;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// A point in a GPU's compute stream that the host can wait for (a CUDA event). Not thread-safe.
class Mark {
public:
    explicit Mark(std::shared_ptr<Gpu> gpu);
    ~Mark();
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

    void set();  // places the mark after all work enqueued so far
    // Whether the work before the mark is done; true if the mark was never set. Error(environment) if CUDA reports an
    // error.
    bool reached() const;
    void wait();  // as Gpu::synchronize(), but only for work before the mark; returns at once if it is reached
    // GPU time from mark `from` to mark `to`; both must be reached.
    static double seconds_between(const Mark& from, const Mark& to);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gpas::cuda
