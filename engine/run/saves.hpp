// The checkpoints that a run writes: beside the training where host memory allows, tried again where they fail, old
// ones removed.
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
    // Keeps references to all but the texts. `say` gets lines for people, on every rank. Collective.
    RunSaves(Communicator& world, const RunConfig& config, const RunIdentity& identity, Context& context,
             const ParameterStore& store, std::function<void(const std::string&)> say);
    ~RunSaves();

    // After every step, collective. Saves where checkpoint.every, the end of the run or an earlier failure asks for it,
    // and ends a save that is written: with `last`, none is under way when this returns. A save that fails is told,
    // leaves what there was and is tried again; AgreedError(environment) after checkpoint.max_failures in a row.
    // written_everywhere: what written() says on all ranks, where they have told each other; else they do so here.
    // Returns the seconds that training waited.
    double after_step(const Progress& progress, bool last, std::optional<bool> written_everywhere = std::nullopt,
                      const RunMemory& memory = {});
    // Whether this rank has nothing left to write. For a message that goes to all ranks anyway.
    bool written() const;
    // Ends a save that is under way. Collective.
    void settle();
    // What retention has to know (retention.hpp): the steps of the directory's files that the state was loaded from and
    // that the branch began with, -1 for another source; and up to which step replicas have been found alike.
    void resumed_from(std::int64_t step) { retention_.resumed_from(step); }
    void branch_began_at(std::int64_t step) { retention_.branch_began_at(step); }
    void trust_up_to(std::int64_t step) { retention_.trust_up_to(step); }
    // Asked by rank 0 before it changes the directory: whether this start still owns it. If not, the save ends the run:
    // AgreedError(rank_lost).
    void set_owner(std::function<bool()> owns) { owns_ = std::move(owns); }
    // At the end of the run: waits (for a minute at most) until old files are verified, and removes what may go.
    void tidy();
    // Whether after_step() will save this step.
    bool is_due(std::int64_t step, bool last) const;

private:
    struct UnderWay;
    void take_memory();
    bool ask_all();
    void start(const Progress& progress, const RunMemory& memory);
    void finish();
    void failed(const AgreedError& error, std::int64_t step);
    void before_renaming(std::int64_t step) const;
    void remove_old();

    Communicator& world_;
    const RunConfig& config_;
    RunIdentity identity_;
    Context& context_;
    const ParameterStore& store_;
    std::function<void(const std::string&)> say_;
    bool beside_ = false;               // training goes on while a save is written
    std::unique_ptr<HostState> state_;  // for the run where beside_, else for a save
    std::unique_ptr<UnderWay> under_way_;
    Stopwatch now_;                 // since after_step() began
    double earlier_seconds_ = 0.0;  // of now_: before the save under way began
    std::int64_t step_ = 0;         // after which it was called
    std::int64_t failures_ = 0;     // in a row
    std::int64_t retry_step_ = -1;
    std::function<bool()> owns_;
    BackgroundVerify verify_;  // of rank 0, like all below
    Retention retention_;
    bool verifying_ = false;  // old files wait for it
};

}  // namespace gpas
