// Injects failures into one rank's numbers on request (GPAS_REHEARSE, parallel/watch/rehearsal.hpp), to test the guard.
#pragma once

#include "engine/model/parameters.hpp"
#include "kernels/context.hpp"
#include "parallel/comm_log.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// Without GPAS_REHEARSE nothing here does anything, and factor() is 1.
class RehearsedNumbers {
public:
    // Keeps references to all of them. rank: of the world.
    RehearsedNumbers(CommLog& log, Context& context, ParameterStore& store, int rank)
        : log_(log), context_(context), store_(store), rank_(rank) {}

    // Before a step (from 1): changes a weight of this rank, or factor(), if the step is the one that was asked for.
    // Error(usage) if this rank has no tensor of the name that was asked for.
    void before_step(std::int64_t step);
    // Before a step is computed again: a transient failure is over.
    void before_recomputation();
    // What this rank's loss and gradient are multiplied by in this step. NaN makes both NaN.
    double factor() const { return factor_; }

private:
    void flip_a_bit();
    void set_a_weight(const std::string& name, float value);

    CommLog& log_;
    Context& context_;
    ParameterStore& store_;
    int rank_;
    double factor_ = 1.0;
};

}  // namespace gpas
