#include "parallel/nccl/nccl_abort.hpp"

#include <cuda_runtime_api.h>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>

namespace gpas {
namespace {

struct Countdown {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t left = 0;
};

}  // namespace

void abort_communicators(const Nccl& nccl, const std::vector<ncclComm_t>& communicators, int device,
                         std::chrono::seconds longest) {
    const auto countdown = std::make_shared<Countdown>();
    countdown->left = communicators.size();
    for (const ncclComm_t communicator : communicators)
        std::thread([countdown, abort = nccl.ncclCommAbort, communicator, device] {
            cudaSetDevice(device);
            abort(communicator);
            const std::lock_guard counted(countdown->mutex);
            --countdown->left;
            countdown->changed.notify_all();
        }).detach();
    std::unique_lock counting(countdown->mutex);
    countdown->changed.wait_for(counting, longest, [&] { return countdown->left == 0; });
}

}  // namespace gpas
