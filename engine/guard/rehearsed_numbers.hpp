// Injects failures into one rank's numbers on request (GPAS_REHEARSE, parallel/board/rehearsal.hpp), to test the guard.
#pragma once

#include "base/step_number.hpp"
#include "engine/model/parameters.hpp"
#include "kernels/context.hpp"
#include "parallel/board/rehearsal.hpp"

#include <cstdint>
#include <string>

namespace gpas {

// Without GPAS_REHEARSE nothing here does anything, and factor() is 1.
class RehearsedNumbers {
public:
    // Keeps references to all arguments.
    // rehearsal: null if there is nothing to inject. board: this rank's.
    RehearsedNumbers(Rehearsal* rehearsal, const RankBoard& board, Context& context, ParameterStore& store)
        : rehearsal_(rehearsal), board_(board), context_(context), store_(store) {}

    // Before a step: changes a weight of this rank, or factor(), if the step is the one that was asked for.
    // Error(usage) if this rank has no tensor of the name that was asked for.
    void before_step(StepNumber step);
    // Before a step is computed again: a transient failure is over.
    void before_recomputation();
    // What this rank's loss and gradient are multiplied by in this step. NaN makes both NaN.
    double factor() const { return factor_; }

private:
    void flip_a_bit();
    void set_a_weight(const std::string& name, float value);

    Rehearsal* rehearsal_;
    const RankBoard& board_;
    Context& context_;
    ParameterStore& store_;
    double factor_ = 1.0;
};

}  // namespace gpas
