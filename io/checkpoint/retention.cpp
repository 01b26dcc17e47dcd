#include "io/checkpoint/retention.hpp"

#include "base/error.hpp"
#include "io/checkpoint/checkpoint.hpp"

#include <algorithm>

namespace gpas {

using std::filesystem::path;

RetentionPlan plan_retention(std::vector<RetainedFile> files, const RetentionRule& rule) {
    RetentionPlan plan;
    if (rule.keep_last <= 0) return plan;
    std::ranges::sort(files, std::greater(), &RetainedFile::step);
    std::int64_t good = 0, usable = 0;  // so far; usable: good or unknown
    bool trusted = false, might_remove = false;
    for (const RetainedFile& file : files) {
        if (file.validity == Validity::damaged) continue;
        const bool is_good = file.validity == Validity::good;
        const bool newest_trusted = is_good && file.step <= rule.trusted && !trusted;
        trusted = trusted || newest_trusted;
        const bool stays = newest_trusted || file.step == rule.resumed_from || file.step == rule.base ||
                           (rule.keep_every > 0 && file.step % rule.keep_every == 0);
        if (good >= rule.keep_last) {
            if (!stays) plan.remove.push_back(file.step);
            continue;
        }
        might_remove = might_remove || (usable >= rule.keep_last && !stays);
        ++usable;
        good += is_good ? 1 : 0;
        if (!is_good && !plan.verify) plan.verify = file.step;
    }
    if (!might_remove || good >= rule.keep_last) plan.verify.reset();
    return plan;
}

Retention::Retention(path directory, std::int64_t keep_last, std::int64_t keep_every, Verify verify, Check check,
                     BeforeChange before)
    : directory_(std::move(directory)),
      rule_{.keep_last = keep_last, .keep_every = keep_every},
      verify_(std::move(verify)),
      check_(check ? std::move(check) : why_incomplete),
      before_(std::move(before)) {}

void Retention::wrote(std::int64_t step) { known_[step] = Validity::good; }

void Retention::resumed_from(std::int64_t step) {
    rule_.resumed_from = step;
    known_.erase(known_.upper_bound(step), known_.end());
    if (step >= 0) known_[step] = Validity::good;
}

std::vector<RetainedFile> Retention::files(std::vector<std::string>& notes) {
    std::vector<RetainedFile> files;
    for (const std::int64_t step : current_steps(directory_)) {
        const auto known = known_.find(step);
        Validity validity = known == known_.end() ? Validity::unknown : known->second;
        if (validity == Validity::unknown) {
            const std::string why = check_(directory_ / checkpoint_file_name(step), step);
            if (!why.empty()) {
                known_[step] = validity = Validity::damaged;
                notes.push_back(why + "; it does not count towards checkpoint.keep_last");
            }
        }
        files.push_back({step, validity});
    }
    return files;
}

std::vector<std::string> Retention::apply() {
    std::vector<std::string> notes;
    if (rule_.keep_last <= 0) return notes;
    try {
        RetentionPlan plan = plan_retention(files(notes), rule_);
        while (plan.verify) {
            const auto damage = verify_(directory_ / checkpoint_file_name(*plan.verify));
            if (!damage) break;
            known_[*plan.verify] = damage->empty() ? Validity::good : Validity::damaged;
            if (!damage->empty()) notes.push_back(*damage + "; it does not count towards checkpoint.keep_last");
            plan = plan_retention(files(notes), rule_);
        }
        for (const std::int64_t step : plan.remove) {
            const path file = directory_ / checkpoint_file_name(step);
            if (before_) before_();
            std::error_code error;
            std::filesystem::remove(file, error);
            if (error)
                notes.push_back(fmt::format("{}: removing an old checkpoint: {}", file.string(), error.message()));
            known_.erase(step);
        }
    } catch (const Error& error) {
        notes.push_back(error.what());
    }
    return notes;
}

}  // namespace gpas
