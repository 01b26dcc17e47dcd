// The state that a run begins with: a checkpoint's, the weights of another checkpoint, or random weights.
#pragma once

#include "engine/run/resume.hpp"

#include <string>
#include <vector>

namespace gpas {

struct FirstState {
    RunStart start;
    Progress progress;
    RunMemory memory;  // remembered.hpp; empty for random weights
};

// Sets the store's weights, and m and v if the run resumes; then makes this state the head of the run's current branch
// (take_branch). notes: lines for the log are appended. Collective over the world; AgreedError.
FirstState load_first_state(const RunParts& run, std::vector<std::string>& notes);

}  // namespace gpas
