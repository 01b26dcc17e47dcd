// Decides what a run does after bad steps: whether it may skip or roll back once more, from which checkpoint it
// continues, and why it gives up. No communication: the same steps give the same decisions on every rank.
#pragma once

#include "engine/guard/verdict.hpp"
#include "engine/run/resume.hpp"

#include <functional>
#include <limits>
#include <string>

namespace gpas {

// The outcome of Recovery::roll_back.
struct RollBack {
    std::optional<Resumed> resumed;  // the loaded checkpoint; nothing: the run gives up
    Progress progress;               // if `resumed`: where the run continues
    std::string text;                // if `resumed`: the text of the event; otherwise why the run gives up
};

// Not thread-safe.
class Recovery {
public:
    // Loads the newest checkpoint up to step `trusted` (the largest number: any); nothing if there is no such file.
    using Load = std::function<std::optional<Resumed>(std::int64_t trusted)>;

    // Keeps a reference to `config`. replicas: copies of the weights that the run can compare (data · tensor ranks).
    Recovery(const RunConfig& config, int replicas);

    // True if replicas are compared during the run (guard.weights_every, and more than one replica).
    bool compares() const { return compares_; }
    // All replicas were found equal at `step`. Without comparisons this has no effect, and all steps stay trusted.
    void trust_up_to(std::int64_t step);
    // The step up to which replicas were found equal; the largest number if they are never compared.
    std::int64_t trusted() const { return trusted_; }

    // Counts skipped steps in a row. Returns why the run must end: training.max_skipped_steps was reached; empty: it
    // continues. why: text of the step's event.
    std::string after_step(StepAction action, const std::string& why);

    // Counts a roll back and loads the checkpoint to continue from. The run continues with the data after those of the
    // bad step, of which `bad` is the progress. Gives up, without calling `load`, after guard.max_roll_backs.
    RollBack roll_back(const Progress& bad, const std::string& why, const Load& load);

    // Why checkpoints after trusted() are set aside before the run ends at `step` with different weights.
    std::string why_set_aside(std::int64_t step) const;

private:
    const RunConfig& config_;
    bool compares_;
    std::int64_t trusted_ = std::numeric_limits<std::int64_t>::max();
    std::int64_t skipped_in_a_row_ = 0;
    std::int64_t roll_backs_ = 0;
};

}  // namespace gpas
