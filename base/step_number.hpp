// Numbers of steps and updates. A run that has completed n steps is in step n + 1: the two counts are easily mistaken for
// each other, so the number of the current step has a type of its own and no implicit conversion.
#pragma once

#include <cstdint>

namespace gpas {

// The number of a training step of the run, from 1. Skipped steps count.
struct StepNumber {
    std::int64_t from_1 = 1;

    // The step that follows `completed` steps.
    static constexpr StepNumber after(std::int64_t completed) { return {completed + 1}; }
    // True for every step whose number is a multiple of `every`; false if `every` is 0.
    constexpr bool is_multiple_of(std::int64_t every) const { return every > 0 && from_1 % every == 0; }
};

// The number t of an AdamW update, from 1. Skipped steps make no update, so it may be less than the step's number.
struct UpdateNumber {
    std::int64_t from_1 = 1;

    // The update that follows `completed` updates.
    static constexpr UpdateNumber after(std::int64_t completed) { return {completed + 1}; }
};

}  // namespace gpas
