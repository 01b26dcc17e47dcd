// Writes a run's checkpoints: in the background of training if host memory allows. Retries failed saves and removes old
// checkpoints.
#pragma once

#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/run/host_state.hpp"
#include "engine/run/run_state.hpp"
#include "io/checkpoint/background_verify.hpp"
#include "io/checkpoint/retention.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace gpas {

class RunSaves {
public:
    // Keeps references to all arguments but identity and say. say: called with lines for the log, on every rank.
    // Collective.
    RunSaves(Communicator& world, const RunConfig& config, const RunIdentity& identity, Context& context,
             const ParameterStore& store, std::function<void(const std::string&)> say);
    ~RunSaves();

    // To be called after every step; collective. Completes a save that all ranks have written. Starts a save if it is
    // due: by checkpoint.every, at the end of the run (`last`), or as a retry. With `last`, no save is under way on
    // return. A failed save is reported, leaves earlier checkpoints unchanged and is tried again later;
    // AgreedError(environment) after checkpoint.max_failures failures in a row. written_everywhere: written() of all
    // ranks if the caller has exchanged it already; without a value this call exchanges it. Returns the seconds that
    // training waited.
    double after_step(const Progress& progress, bool last, std::optional<bool> written_everywhere = std::nullopt,
                      const RunMemory& memory = {});
    // True if a save is under way and this rank has written its whole part. Meant to be sent with the step's votes, so
    // that after_step() needs no message of its own.
    bool written() const;
    // Waits for the save under way, if there is one, and completes it. Collective.
    void settle();
    // Facts for retention (retention.hpp): the step of the checkpoint in the directory that the state was loaded from,
    // and of the checkpoint that the branch began with (-1: another source); and the step up to which replicas were
    // compared and found equal.
    void resumed_from(std::int64_t step) { retention_.resumed_from(step); }
    void branch_began_at(std::int64_t step) { retention_.branch_began_at(step); }
    void trust_up_to(std::int64_t step) { retention_.trust_up_to(step); }
    // owns: called on rank 0 before it changes the directory; false if another start of the run has taken the directory
    // over. Then a save ends the run with AgreedError(rank_lost).
    void set_owner(std::function<bool()> owns) { owns_ = std::move(owns); }
    // At the end of the run: waits up to 60 s for the verification of old checkpoints, and removes those that retention
    // does not keep.
    void tidy();
    // True if after_step() starts a save at this step.
    bool is_due(std::int64_t step, bool last) const;

private:
    struct UnderWay;
    void take_memory();
    bool ask_all();
    void start(const Progress& progress, const RunMemory& memory);
    void finish();  // completes the save under way; collective
    void failed(const AgreedError& error, std::int64_t step);
    void before_renaming(std::int64_t step) const;
    void remove_old();

    Communicator& world_;
    const RunConfig& config_;
    RunIdentity identity_;
    Context& context_;
    const ParameterStore& store_;
    std::function<void(const std::string&)> say_;
    bool in_background_ = false;        // saves run in the background of training
    std::unique_ptr<HostState> state_;  // lives as long as the run if in_background_, else as long as a save
    std::unique_ptr<UnderWay> under_way_;
    Stopwatch now_;                 // started when after_step() was called
    double earlier_seconds_ = 0.0;  // reading of now_ when the save under way started
    std::int64_t step_ = 0;         // that after_step() was called for
    std::int64_t failures_ = 0;     // in a row
    std::int64_t retry_step_ = -1;  // first step at which a failed save is tried again; -1: no retry is due
    std::function<bool()> owns_;
    // Used on rank 0 only:
    BackgroundVerify verify_;
    Retention retention_;
    bool verifying_ = false;  // the removal of old checkpoints waits for a verification
};

}  // namespace gpas
