// What a checkpoint keeps of a run besides weights, optimizer state and progress, so that the resumed run gives the
// same results as an uninterrupted one.
#pragma once

#include "engine/plan/peak.hpp"
#include "engine/run/run_state.hpp"

#include <string>

namespace gpas {

struct Remembered {
    std::string recent_losses;        // SpikeHistory::text()
    MeasuredPeak peak;                // flops 0: the peak was not measured
    std::string token_ids;            // of the imported model that the run began with; empty: it began otherwise
    bool evaluation_pending = false;  // the evaluation of the checkpoint's step is still due
};

// remembered_in() is the inverse of memory_of(); an entry that `memory` lacks gets its default. Pure.
RunMemory memory_of(const Remembered& remembered);
Remembered remembered_in(const RunMemory& memory);

}  // namespace gpas
