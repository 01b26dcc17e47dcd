// Distributes independent tasks over plain threads, for code that has no kernels::Context.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace gpas {

// Calls body(i) once for each i in [0, count), on at most `threads` threads, one of them the caller's. After the first
// exception no further i starts; the exception is rethrown to the caller.
template <class Body>
void run_on_workers(std::int64_t threads, std::int64_t count, Body&& body) {
    threads = std::min(threads, count);
    if (threads <= 1) {
        for (std::int64_t i = 0; i < count; ++i) body(i);
        return;
    }
    std::atomic<std::int64_t> next{0};
    std::exception_ptr error;
    std::mutex error_mutex;
    const auto work = [&] {
        for (std::int64_t i = next++; i < count; i = next++) {
            try {
                body(i);
            } catch (...) {
                const std::lock_guard lock(error_mutex);
                if (!error) error = std::current_exception();
                next = count;
            }
        }
    };
    {
        std::vector<std::jthread> pool;
        for (std::int64_t i = 1; i < threads; ++i) pool.emplace_back(work);
        work();
    }
    if (error) std::rethrow_exception(error);
}

}  // namespace gpas
