// Random histories of a run's checkpoint directory: starts of every kind, saves, damage, comparisons of replicas, roll
// backs, and a kill before any change of the directory. The real directory is compared with a model of what users
// may rely on: the newest good state of the current branch can always be resumed, and what was reported as saved is
// still there, set aside, or was removed because enough newer good checkpoints of its branch were there.
#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/retention.hpp"
#include "kernels/philox.hpp"
#include "tests/support/exhaustive.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

namespace gpas {
namespace {

namespace fs = std::filesystem;
using fs::path;

struct Killed {};

// A file holds its state's number; "bad" in front of it stands for damage of the table of contents, "data" of the data.
std::string content(const path& file) {
    std::string text;
    std::getline(std::ifstream(file), text);
    return text;
}
std::int64_t state_of(const path& file) {
    const std::string text = content(file);
    return std::stoll(text.substr(text.find_first_of("0123456789")));
}
std::string check(const path& file, std::int64_t) { return content(file).starts_with("bad") ? "damaged" : ""; }
std::string data_damage(const path& file) { return content(file).starts_with("data") ? "data damaged" : ""; }

// ---- the model ------------------------------------------------------------------------------------------------------
struct Saved {
    std::int64_t step, state;
    bool damaged = false;
};
struct Model {
    std::vector<Saved> branch;     // ascending
    std::set<std::int64_t> aside;  // states
    std::int64_t resumed_from = -1, trusted = 0;
    bool compares = false;
    std::int64_t keep_last = 1, keep_every = 0;

    const Saved* newest_good(std::int64_t up_to) const {
        for (auto saved = branch.rbegin(); saved != branch.rend(); ++saved)
            if (!saved->damaged && saved->step <= up_to) return &*saved;
        return nullptr;
    }
    // The run's state is now that of `step` of the branch (-1: none of it).
    void leave_after(std::int64_t step) {
        for (const Saved& saved : branch)
            if (saved.step > step) aside.insert(saved.state);
        std::erase_if(branch, [&](const Saved& saved) { return saved.step > step; });
        resumed_from = step;
        trusted = std::max<std::int64_t>(step, 0);
    }
    bool may_be_removed(const Saved& saved) const {
        const auto newer = std::ranges::count_if(
            branch, [&](const Saved& other) { return !other.damaged && other.step > saved.step; });
        const Saved* good = newest_good(compares ? trusted : saved.step + 1000);
        return keep_last > 0 && newer >= keep_last && saved.step != resumed_from &&
               (!good || good->step != saved.step) && (keep_every == 0 || saved.step % keep_every != 0);
    }
};

class History {
public:
    History(path directory, std::uint32_t seed) : directory_(std::move(directory)), seed_(seed) {
        fs::remove_all(directory_);
        fs::create_directories(directory_);
        model_.keep_last = pick(4);
        model_.keep_every = pick(3) == 0 ? 3 : 0;
        model_.compares = pick(2) == 0;
        start(pick(2));
    }

    void run() {
        for (int i = 0; i < 8; ++i) {
            countdown_ = pick(4) == 0 ? std::int64_t(pick(12)) : -1;
            try {
                act();
            } catch (const Killed&) {
                countdown_ = -1;
                settle_after_kill();
                compare("a kill");
                start(pick(4));
            }
            compare("an action");
        }
    }

private:
    std::uint32_t pick(std::uint32_t n) { return philox({seed_, draws_++, 0, 0}, 11, 12)[0] % n; }
    BeforeChange before() {
        return [this] {
            if (countdown_ >= 0 && countdown_-- == 0) throw Killed();
        };
    }

    void act() {
        switch (pick(9)) {
            case 0: return start(pick(4));
            case 1: return damage();
            case 2: return roll_back();
            case 3:
                model_.trusted = step_;
                retention_->trust_up_to(model_.compares ? step_ : 1000);
                return;
            default: return save();
        }
    }

    std::optional<std::int64_t> newest(std::int64_t up_to) {  // as resume_run
        std::int64_t below = up_to + 1;
        while (const auto file = newest_complete(directory_, nullptr, below, check)) {
            if (data_damage(*file).empty()) return checkpoint_step(*file);
            below = *checkpoint_step(*file);
        }
        return std::nullopt;
    }

    // 0: from the beginning, 1: a named checkpoint, others: auto.
    void start(std::uint32_t how) {
        leaving_ = std::nullopt;
        finish_branching(directory_, before());
        const auto found = newest(1000);
        std::int64_t after = -1;
        std::optional<BranchRecord> record;
        if (how == 0) {
            record = BranchRecord{};
        } else if (how == 1 && found) {
            record = BranchRecord{};
            const auto steps = current_steps(directory_);
            for (const std::int64_t step : steps)
                if (data_damage(name(step)).empty() && check(name(step), step).empty() && pick(2) == 0) after = step;
            if (after < 0) after = *found;
        } else if (found) {
            after = *found;
        } else if (!current_steps(directory_).empty()) {
            record = BranchRecord{};  // all are damaged: auto is refused, so the run starts from the beginning
        }
        leave(after, record);
        step_ = std::max<std::int64_t>(after, 0);
        retention_.emplace(
            directory_, model_.keep_last, model_.keep_every,
            [](const path& file) { return std::optional<std::string>(data_damage(file)); }, check, before());
        retention_->resumed_from(after);
        retention_->trust_up_to(model_.compares ? step_ : 1000);
    }

    void leave(std::int64_t after, const std::optional<BranchRecord>& record = {}) {
        leaving_ = after;
        begin_branch(directory_, after, "a test", record, before());
        model_.leave_after(after);
        leaving_ = std::nullopt;
    }

    void save() {
        step_ += 1 + pick(2);
        saving_ = Saved{step_, ++states_};
        const path temporary = directory_ / ".step.tmp";
        std::ofstream(temporary) << saving_->state << std::endl;
        set_aside_step(directory_, step_, before());
        before()();
        fs::rename(temporary, name(step_));
        model_.branch.push_back(*saving_);
        retention_->wrote(step_);
        retention_->apply();
    }

    // Between two starts: a process does not read again what it has written or verified.
    void damage() {
        if (!model_.branch.empty()) {
            Saved& saved = model_.branch[pick(std::uint32_t(model_.branch.size()))];
            std::ofstream(name(saved.step)) << (pick(2) ? "bad" : "data") << saved.state << std::endl;
            saved.damaged = true;
        }
        start(pick(4));
    }

    void roll_back() {
        const auto to = newest(model_.compares ? model_.trusted : 1000);
        if (!to) return;
        EXPECT_LE(*to, model_.compares ? model_.trusted : 1000);
        leave(*to);
        step_ = *to;
        retention_->resumed_from(*to);
        retention_->trust_up_to(model_.compares ? step_ : 1000);
    }

    // Setting aside is complete or has not begun.
    void settle_after_kill() {
        if (!leaving_) return;
        const auto steps = current_steps(directory_);
        const bool begun = std::ranges::none_of(steps, [&](std::int64_t step) { return step > *leaving_; });
        if (begun) model_.leave_after(*leaving_);
        leaving_ = std::nullopt;
    }

    path name(std::int64_t step) const { return directory_ / checkpoint_file_name(step); }

    void compare(const char* after) {
        const std::string what = fmt::format("seed {}, draw {}, after {}", seed_, draws_, after);
        // What retention has removed, it was allowed to remove.
        const auto steps = current_steps(directory_);
        for (const Saved& saved : std::vector<Saved>(model_.branch)) {
            if (std::ranges::find(steps, saved.step) != steps.end()) {
                ASSERT_EQ(state_of(name(saved.step)), saved.state) << what << ": overwritten";
                continue;
            }
            ASSERT_TRUE(model_.may_be_removed(saved)) << what << ": step " << saved.step << " is missing";
            std::erase_if(model_.branch, [&](const Saved& other) { return other.step == saved.step; });
        }
        ASSERT_EQ(steps.size(), model_.branch.size()) << what;
        // What was set aside is still there, or is about to be moved there.
        std::set<std::int64_t> aside;
        for (const SetAside& entry : list_set_aside(directory_))
            for (const std::int64_t step : entry.steps)
                aside.insert(state_of(entry.directory / checkpoint_file_name(step)));
        for (const std::string& to_move : names_to_be_moved(directory_))
            if (fs::exists(directory_ / to_move)) aside.insert(state_of(directory_ / to_move));
        ASSERT_EQ(aside, model_.aside) << what;
        const Saved* good = model_.newest_good(1000);
        ASSERT_EQ(newest(1000), good ? std::optional(good->step) : std::nullopt) << what;
    }

    path directory_;
    std::uint32_t seed_, draws_ = 0;
    std::int64_t countdown_ = -1;  // changes of the directory until a kill; -1: none comes
    std::int64_t states_ = 0, step_ = 0;
    std::optional<std::int64_t> leaving_;
    std::optional<Saved> saving_;
    std::optional<Retention> retention_;
    Model model_;
};

TEST(Histories, never_lose_what_is_needed) {
    const path memory = "/dev/shm";
    const path root = fs::exists(memory) ? memory : fs::temp_directory_path();
    const path directory = root / fmt::format("gpas-histories-{}", getpid());
    const std::uint32_t histories = test_support::exhaustive() ? 10'000 : 3'000;
    for (std::uint32_t seed = 0; seed < histories && !testing::Test::HasFailure(); ++seed)
        History(directory, seed).run();
    fs::remove_all(directory);
}

}  // namespace
}  // namespace gpas
