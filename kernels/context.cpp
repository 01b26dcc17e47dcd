#include "kernels/context.hpp"

#include "kernels/cpu/matmul.hpp"

#include <omp.h>

#include <utility>

namespace gpas {

Context::Context(int threads, Arena scratch)
    : threads_(threads), scratch_(std::move(scratch)), matmul_cache_(std::make_unique<cpu::MatmulCache>()) {
    require(threads >= 1, "a context needs at least one thread, not {}", threads);
    // Every parallel region names its number of threads. What is called inside one (oneDNN) must not fork again:
    // work is cut into blocks that do not depend on the number of threads, so that results do not either.
    omp_set_num_threads(1);
}

Context::~Context() = default;

}  // namespace gpas
