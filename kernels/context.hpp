// Where an operation runs and what it may use while it does: threads and scratch memory. One per rank.
#pragma once

#include "kernels/arena.hpp"

#include <memory>

namespace gpas {

namespace cpu {
class MatmulCache;
}

class Context {
public:
    // scratch: memory for temporaries of one operation at a time; its capacity is what the ops' plans asked for.
    Context(int threads, Arena scratch);

    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    int threads() const { return threads_; }
    Arena& scratch() { return scratch_; }
    cpu::MatmulCache& matmul_cache() { return *matmul_cache_; }

private:
    int threads_;
    Arena scratch_;
    std::unique_ptr<cpu::MatmulCache> matmul_cache_;
};

}  // namespace gpas
