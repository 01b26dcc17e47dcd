// Removes old checkpoints of the current branch, by checkpoint.keep_last and checkpoint.keep_every.
#pragma once

#include "io/checkpoint/branch.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

enum class Validity {
    good,     // this process has written, completely read or verified the file
    unknown,  // the table of contents is intact, but the data were not verified
    damaged,
};

struct RetainedFile {
    std::int64_t step = 0;
    Validity validity = Validity::unknown;
};

struct RetentionRule {
    std::int64_t keep_last = 0;      // number of newer good files that allow a removal; 0: nothing is removed
    std::int64_t keep_every = 0;     // multiples of this step are not removed; 0: off
    std::int64_t resumed_from = -1;  // step of the file that the run resumed from; -1: no file of this directory
    std::int64_t base = -1;  // step of the file that checkpoint.resume named when the branch began; -1: no such file
    // The last step at which a comparison of the replicas' weights found no difference. Later files may contain a fault
    // that is not yet detected.
    std::int64_t trusted = std::numeric_limits<std::int64_t>::max();
};

struct RetentionPlan {
    std::vector<std::int64_t> remove;    // steps
    std::optional<std::int64_t> verify;  // the step whose file must be verified before more files can be removed
};

// Removes a file only if at least keep_last good files are newer. A damaged file is not removed and does not count as
// good. An unknown file does not count as good until it is verified. Never removed: the newest good file, the files of
// `resumed_from` and `base`, the newest good file up to `trusted`, multiples of keep_every. `files`: in any order, one
// per step.
RetentionPlan plan_retention(std::vector<RetainedFile> files, const RetentionRule& rule);

// Applies the rule to a directory. Not collective: only rank 0 has this object.
class Retention {
public:
    // The first problem in the data of a file; empty if the data are intact; nullopt if the result is not known yet.
    using Verify = std::function<std::optional<std::string>(const std::filesystem::path& file)>;
    // The first problem in the table of contents of a file; empty if it is intact.
    using Check = std::function<std::string(const std::filesystem::path& file, std::int64_t step)>;

    Retention(std::filesystem::path directory, std::int64_t keep_last, std::int64_t keep_every, Verify verify,
              Check check = {}, BeforeChange before = {});

    void wrote(std::int64_t step);  // this process has saved the file of this step
    // The run continues from the file of this step, which it has read completely (-1: from a file of another directory,
    // or from initial weights). Later steps belong to another branch, so the validity of their files is forgotten.
    void resumed_from(std::int64_t step);
    void branch_began_at(std::int64_t step) { rule_.base = step; }
    void trust_up_to(std::int64_t step) { rule_.trusted = step; }

    // Removes the files that the rule allows to be removed. Returns one line per damaged file and per file that could
    // not be removed. Does not throw, because a superfluous file is no reason to end a run.
    std::vector<std::string> apply();

private:
    std::vector<RetainedFile> files(std::vector<std::string>& notes);

    std::filesystem::path directory_;
    RetentionRule rule_;
    Verify verify_;
    Check check_;
    BeforeChange before_;
    std::map<std::int64_t, Validity> known_;
};

}  // namespace gpas
