// Fixed blocks of work over the context's threads. What a block computes never depends on which thread runs it, or on
// how many there are: that is how results stay the same for any number of threads.
#pragma once

#include "kernels/context.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>

namespace gpas::cpu {

// body(i) for i in [0, count), each once. An exception of any body reaches the caller.
template <class Body>
void parallel_for(const Context& context, std::int64_t count, Body&& body) {
    // Always all of them: libgomp ends threads that a smaller team does not need, and starts them again for the next.
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

// body(begin, end) over [0, count) in blocks of `block` (the last one may be shorter).
template <class Body>
void parallel_blocks(const Context& context, std::int64_t count, std::int64_t block, Body&& body) {
    parallel_for(context, (count + block - 1) / block,
                 [&](std::int64_t i) { body(i * block, std::min(count, (i + 1) * block)); });
}

}  // namespace gpas::cpu
