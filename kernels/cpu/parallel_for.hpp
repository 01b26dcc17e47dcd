// Distributes fixed blocks of work over the context's threads. What a block computes depends neither on the thread that
// runs it nor on the number of threads, so results are equal for any number of threads.
#pragma once

#include "kernels/context.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>

namespace gpas::cpu {

// Calls body(i) once for each i in [0, count). If bodies throw, the caller gets one of the exceptions; other bodies may
// still have run.
template <class Body>
void parallel_for(const Context& context, std::int64_t count, Body&& body) {
    // Always the full number: libgomp ends threads that a smaller team does not need, and starts new ones for the next
    // larger team.
    const int threads = context.threads();
    if (threads <= 1 || count <= 1) {
        for (std::int64_t i = 0; i < count; ++i) body(i);
        return;
    }
    std::exception_ptr error;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (std::int64_t i = 0; i < count; ++i) {
        try {
            body(i);
        } catch (...) {
#pragma omp critical(gpas_parallel_for_error)
            if (!error) error = std::current_exception();
        }
    }
    if (error) std::rethrow_exception(error);
}

// Calls body(begin, end) for each block of [0, count). A block has `block` elements; the last block may have fewer.
template <class Body>
void parallel_blocks(const Context& context, std::int64_t count, std::int64_t block, Body&& body) {
    parallel_for(context, (count + block - 1) / block,
                 [&](std::int64_t i) { body(i * block, std::min(count, (i + 1) * block)); });
}

}  // namespace gpas::cpu
