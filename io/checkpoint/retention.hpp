// Which checkpoints of the current branch a run removes (checkpoint.keep_last, checkpoint.keep_every).
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
    good,     // written or read completely by this process, or verified
    unknown,  // its table of contents is intact
    damaged,
};

struct RetainedFile {
    std::int64_t step = 0;
    Validity validity = Validity::unknown;
};

struct RetentionRule {
    std::int64_t keep_last = 0;      // 0: nothing is removed
    std::int64_t keep_every = 0;     // multiples of it stay; 0: none
    std::int64_t resumed_from = -1;  // the step of the file that the run resumed from; -1: none of the directory
    std::int64_t base = -1;  // the step of the file that checkpoint.resume named when the branch began; -1: none
    // The state of this step has passed a comparison of replicas, so the faults of later ones may be unknown.
    std::int64_t trusted = std::numeric_limits<std::int64_t>::max();
};

struct RetentionPlan {
    std::vector<std::int64_t> remove;
    std::optional<std::int64_t> verify;  // to be known before more can be removed
};

// Removes a file only if keep_last good ones are newer. A damaged file stays, and does not count; an unknown one does
// not count either, until it is verified. What always stays: the newest good file, the ones that the run resumed from,
// the newest good one up to `trusted`, multiples of keep_every. Files in any order, one per step.
RetentionPlan plan_retention(std::vector<RetainedFile> files, const RetentionRule& rule);

// Applies the rule to a directory. Not collective: only rank 0 has one.
class Retention {
public:
    // What is wrong with the data of a file; empty: nothing; nullopt: not known yet, ask again later.
    using Verify = std::function<std::optional<std::string>(const std::filesystem::path& file)>;
    // The same of its table of contents, at once.
    using Check = std::function<std::string(const std::filesystem::path& file, std::int64_t step)>;

    Retention(std::filesystem::path directory, std::int64_t keep_last, std::int64_t keep_every, Verify verify,
              Check check = {}, BeforeChange before = {});

    void wrote(std::int64_t step);
    // The run continues from this file of the directory, which it has read completely (-1: from another directory or
    // from initial weights). Later steps belong to another branch: what was known of their files is dropped.
    void resumed_from(std::int64_t step);
    void branch_began_at(std::int64_t step) { rule_.base = step; }
    void trust_up_to(std::int64_t step) { rule_.trusted = step; }

    // Removes what may go by what is known. Does not throw, since an old file too many is no reason to end a run:
    // returns one line for each file that is damaged, and for each that could not be removed.
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
