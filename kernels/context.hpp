// Where an operation runs and what it may use while it does: threads and scratch memory. One per rank.
#pragma once

#include "kernels/arena.hpp"

namespace gpas {

class Context {
public:
    // scratch: memory for temporaries of one operation at a time; its capacity is what the ops' plans asked for.
    Context(int threads, Arena scratch);

    int threads() const { return threads_; }
    Arena& scratch() { return scratch_; }

private:
    int threads_;
    Arena scratch_;
};

}  // namespace gpas
