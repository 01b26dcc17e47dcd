// CUDA events without timing, and a pool of them, because a step records hundreds. Internal to the NCCL communicator.
#pragma once

#include "kernels/cuda/check.hpp"

#include <cuda_runtime_api.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace gpas {

class CudaEvent {
public:
    CudaEvent() { cuda::check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
    ~CudaEvent() { cudaEventDestroy(event_); }
    CudaEvent(const CudaEvent&) = delete;
    CudaEvent& operator=(const CudaEvent&) = delete;

    void record(cudaStream_t stream) { cuda::check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
    // Work that is enqueued on `stream` from now on waits for the last record().
    void delay(cudaStream_t stream) const {
        cuda::check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
    }
    bool reached() const {
        const cudaError_t state = cudaEventQuery(event_);
        if (state != cudaErrorNotReady) cuda::check(state, "cudaEventQuery");
        return state == cudaSuccess;
    }

private:
    cudaEvent_t event_ = nullptr;
};

// Thread-safe. When the last owner of an event releases it, the event returns to the pool. If the pool no longer
// exists, the event is destroyed.
class CudaEventPool : public std::enable_shared_from_this<CudaEventPool> {
public:
    std::shared_ptr<CudaEvent> take() {
        std::unique_ptr<CudaEvent> event = take_free();
        if (!event) event = std::make_unique<CudaEvent>();
        return {event.release(), [pool = weak_from_this()](CudaEvent* used) {
                    std::unique_ptr<CudaEvent> owned(used);
                    if (const auto alive = pool.lock()) alive->give_back(std::move(owned));
                }};
    }

private:
    std::unique_ptr<CudaEvent> take_free() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return nullptr;
        std::unique_ptr<CudaEvent> event = std::move(free_.back());
        free_.pop_back();
        return event;
    }
    void give_back(std::unique_ptr<CudaEvent> event) {
        const std::lock_guard lock(mutex_);
        free_.push_back(std::move(event));
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<CudaEvent>> free_;
};

// Marks the end of the work that is on a stream at record(). One thread calls record() and delay(); any thread calls
// reached().
class CudaCompletion {
public:
    CudaCompletion(std::shared_ptr<CudaEvent> event, cudaStream_t stream) : event_(std::move(event)), stream_(stream) {}
    // Records the event; further calls do nothing. The caller chooses the time, because a record waits in a hardware
    // queue and blocks work of other streams in that queue (NcclSession::enqueue).
    void record() {
        if (recorded_.load(std::memory_order_relaxed)) return;
        event_->record(stream_);
        recorded_.store(true, std::memory_order_release);
    }
    void delay(cudaStream_t stream) {
        record();
        event_->delay(stream);
    }
    bool reached() const { return recorded_.load(std::memory_order_acquire) && event_->reached(); }

private:
    std::shared_ptr<CudaEvent> event_;
    cudaStream_t stream_;
    std::atomic<bool> recorded_ = false;
};

}  // namespace gpas
