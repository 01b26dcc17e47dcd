#include "engine/run/trainer.hpp"

#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/guard/spikes.hpp"
#include "engine/run/evaluations.hpp"
#include "engine/run/first_state.hpp"
#include "engine/run/outputs.hpp"
#include "engine/run/profile.hpp"
#include "engine/run/recovery.hpp"
#include "engine/run/remaining_time.hpp"
#include "engine/run/remembered.hpp"
#include "engine/run/run_lines.hpp"
#include "engine/run/run_log.hpp"
#include "engine/run/run_peak.hpp"
#include "engine/run/saves.hpp"
#include "engine/run/setup.hpp"
#include "engine/run/step_records.hpp"
#include "engine/run/stop.hpp"
#include "engine/step/step.hpp"
#include "io/config/check.hpp"
#include "kernels/cuda/profiling.hpp"
#include "parallel/agree.hpp"
#include "parallel/mesh.hpp"

#include <algorithm>
#include <optional>

namespace gpas {
namespace {

// The order of a run. What each part does is in the part's own file: setup.hpp, first_state.hpp, step.hpp,
// recovery.hpp, evaluations.hpp, saves.hpp, step_records.hpp.
class Trainer {
public:
    Trainer(const LoadedConfig& loaded, Mesh mesh, int threads, const ChosenDevice& device, Watcher* watcher)
        : loaded_(loaded),
          config_(loaded_.values),
          watcher_(watcher),
          clock_(watcher, config_.training.end_margin_seconds),
          spikes_(config_.guard),
          remaining_(config_),
          setup_(loaded_, std::move(mesh), threads, device),
          log_(world().rank()),
          step_(config_, *setup_.replica, setup_.data.train, setup_.mesh),
          profiler_(config_.metrics.profile, *setup_.context),
          recovery_(config_, setup_.mesh.size.data * setup_.mesh.size.tensor),
          evaluations_(setup_, clock_, log_),
          outputs_(config_, world().rank(), watcher_, [log = log_](const std::string& line) { log.say("{}", line); }),
          records_(config_, outputs_, watcher_) {}

    void run() {
        prepare();
        const std::int64_t steps = config_.training.steps, stop_after = config_.training.stop_after;
        const std::int64_t end = stop_after > 0 ? std::min(stop_after, steps) : steps;
        // The run was stopped before or during the evaluation of the step that it resumes from, after the step's save.
        if (evaluations_.pending()) {
            waits_.evaluation = evaluate();
            if (evaluations_.pending()) return leave(evaluations_.agreed_stop());
        }
        if (progress_.step >= end && progress_.step > 0)
            log_.say("nothing left to do: the checkpoint is at step {}, and {} is {}", progress_.step,
                     end < steps ? "training.stop_after" : "training.steps", end);
        while (progress_.step < end) {
            const StepResult result = train_step();
            if (result.action == StepAction::roll_back) {
                roll_back(result.events.back());
                continue;
            }
            if (const auto stop = evaluate_and_save(result, progress_.step == end)) return leave(*stop);
        }
        finish();
    }

private:
    Communicator& world() const { return setup_.world(); }
    ParameterStore& store() const { return setup_.replica->store; }
    void enter(Phase phase) const { world().progress().enter(phase, progress_.step); }

    void prepare() {
        world().board().stage = setup_.mesh.place.pipeline;
        identity_ = identity_of(setup_);
        agree(world(), [&] {
            outputs_.take_directory();
            if (world().rank() == 0) keep_algorithms(setup_.algorithms);
        });
        log_.say_all(setup_lines(setup_, step_.micro_batches()));
        require_headroom(world());  // without memory libhdf5 can crash, too
        load_state();
        agree(world(), [&] { evaluations_.prepare(recalled_.token_ids); });
        world().progress().set_place(progress_.step, -1);  // for live.json and reports of the watcher
        agree(world(), [&] { outputs_.open(identity_.config_text, progress_.step); });
        make_saves();
        begin_at(start_.resumed);
        require_headroom(world());
        peak_ = find_run_peak(setup_, recalled_.peak);
        log_.say("peak {:.3g} TFLOP/s over {} ranks ({})", peak_.flops / 1e12, world().size(), peak_.source);
        if (clock_.seconds_left() < config_.training.end_margin_seconds)
            log_.say(
                "the job ends in {:.0f} s, which is less than training.end_margin_seconds: the run will save and end "
                "after its first step; give the job more time, or lower the margin",
                clock_.seconds_left());
    }

    RunParts parts() const {
        const bool in_job = watcher_ != nullptr && !watcher_->launch().job_id.empty();
        return {world(), *setup_.mesh.data, config_, identity_, *setup_.context, store(), in_job};
    }

    void load_state() {
        std::vector<std::string> notes;
        FirstState first = load_first_state(parts(), notes);
        start_ = std::move(first.start);
        progress_ = first.progress;
        recall(first.memory);
        log_.say_all(notes);
    }

    void recall(const RunMemory& memory) {
        recalled_ = remembered_in(memory);
        spikes_.restore(recalled_.recent_losses);
        evaluations_.recall(recalled_.evaluation_pending);
    }

    void make_saves() {
        saves_ = std::make_unique<RunSaves>(world(), config_, identity_, *setup_.context, store(),
                                            [log = log_](const std::string& line) { log.say("{}", line); });
        saves_->set_owner([this] { return !outputs_.owned_by_another(); });
        saves_->branch_began_at(start_.base_step);
    }

    // To be called when the state was loaded from this checkpoint; nothing: it is the initial weights.
    void begin_at(const std::optional<Resumed>& resumed) {
        saves_->resumed_from(resumed && resumed->of_this_run ? progress_.step : -1);
        trust_up_to(progress_.step);  // all replicas have loaded the same state
    }

    // Replicas were found equal at this step.
    void trust_up_to(std::int64_t step) {
        if (!recovery_.compares()) return;
        recovery_.trust_up_to(step);
        saves_->trust_up_to(step);
    }

    StepResult train_step() {
        const Stopwatch watch;
        const StepNumber number = StepNumber::after(progress_.step);
        profiler_.before_step(number);
        const StepResult result =
            step_.run({.step = number,
                       .update = UpdateNumber::after(progress_.updates),
                       .first_sample = progress_.consumed_samples,
                       .with_gpas_view = number.is_multiple_of(config_.metrics.gpas_every),
                       .vote = [&] { return StepVote{saves_->written(), clock_.after_step(longest_seconds_)}; },
                       .spikes = &spikes_});
        profiler_.after_step(number);
        if (result.replicas_agreed) trust_up_to(progress_.step);
        const bool updated = result.action == StepAction::update;
        progress_ = progress_after_step(progress_, config_, updated);
        if (updated) spikes_.add(result.loss, result.gradient_norm);
        remaining_.add_step(watch.seconds());
        records_.write(progress_, result,
                       {.waits = waits_,
                        .peak_flops = peak_.flops,
                        .seconds_left = remaining_.seconds_left(progress_.step),
                        .arena_bytes = setup_.replica->plan().total_bytes()});
        stop_if_hopeless(result);
        longest_seconds_ = watch.seconds() + waits_.evaluation + waits_.checkpoint;
        add_step(world().board(), result.seconds);
        return result;
    }

    void stop_if_hopeless(const StepResult& result) {
        const EventMetrics event = result.events.empty() ? EventMetrics{} : result.events.back();
        if (result.action == StepAction::stop) give_up(event, event.text);
        const std::string why = recovery_.after_step(result.action, event.text);
        if (!why.empty()) give_up(event, why);
    }

    // Returns to the last checkpoint that a comparison of replicas has confirmed. event: the reason.
    void roll_back(const EventMetrics& event) {
        saves_->settle();
        const RollBack back = recovery_.roll_back(progress_, event.text, [&](std::int64_t trusted) {
            std::vector<std::string> notes;
            store().await_weights();
            auto resumed = roll_back_run(parts(), start_, trusted, notes);
            log_.say_all(notes);
            return resumed;
        });
        if (!back.resumed) give_up(event, back.text);
        progress_ = back.progress;
        recall(back.resumed->memory);
        begin_at(back.resumed);
        agree(world(), [&] { outputs_.reopen_metrics(progress_.step); });
        outputs_.write(
            EventMetrics{.step = progress_.step, .event = "roll_back", .action = "roll_back", .text = back.text});
        waits_ = {};  // the record of the bad step contains them already
    }

    // Ends the run after a step with bad numbers, a spike or different weights. event: of the step; why: for the error.
    [[noreturn]] void give_up(const EventMetrics& event, const std::string& why) {
        if (event.event == "different_weights") {
            // The checkpoints after the last comparison that passed may have wrong weights.
            std::vector<std::string> notes;
            set_aside_later(world(), config_, recovery_.trusted(), recovery_.why_set_aside(progress_.step), notes);
            log_.say_all(notes);
        }
        outputs_.end("failed", ExitCode::bad_numbers);
        throw AgreedError(ExitCode::bad_numbers,
                          fmt::format("step {}: {}; {}", progress_.step, why, advice_on(event.event)));
    }

    // What is due between two steps. If the run must stop, it saves the checkpoint only, and the next start evaluates.
    // Returns why the run must leave; nothing: it continues.
    std::optional<StopRequest> evaluate_and_save(const StepResult& result, bool last) {
        const bool stop = result.stop != StopRequest::none && !last;
        evaluations_.after_step(progress_.step, last);
        waits_.evaluation = stop ? 0.0 : evaluate();
        const bool interrupted = evaluations_.pending() && !stop;
        waits_.checkpoint = save_if_due(last || stop || interrupted, result.all_written);
        if (stop) return result.stop;
        return interrupted ? std::optional(evaluations_.agreed_stop()) : std::nullopt;
    }

    // Evaluates if that is due. Returns the seconds that training waited, as save_if_due() does.
    double evaluate() {
        const Evaluated evaluated = evaluations_.evaluate(progress_.step);
        if (evaluated.complete) remaining_.add_evaluation(evaluated.seconds);
        if (evaluated.loss) outputs_.write(*evaluated.loss);
        for (const TaskMetrics& task : evaluated.tasks) outputs_.write(task);
        return evaluated.seconds;
    }

    double save_if_due(bool last, bool all_written) {
        const bool due = saves_->is_due(progress_.step, last);
        if (due) enter(Phase::save);
        const cuda::Range range(due && setup_.context->names_work(), "checkpoint");
        if (due) outputs_.flush();
        const RunMemory memory = due ? memory_of({.recent_losses = spikes_.text(),
                                                  .peak = peak_.measured,
                                                  .token_ids = recalled_.token_ids,
                                                  .evaluation_pending = evaluations_.pending()})
                                     : RunMemory{};
        const double seconds = saves_->after_step(progress_, last, all_written, memory);
        if (due) remaining_.add_save();
        remaining_.add_checkpoint_wait(seconds);
        return seconds;
    }

    // Ends the run before its last step, after its checkpoint was saved. On every rank.
    void leave(StopRequest why) {
        const std::string where = fmt::format("stopped at step {} of {}, saved; the same command continues the run",
                                              progress_.step, config_.training.steps);
        enter(Phase::end);
        const bool unfinished = why == StopRequest::unfinished;
        outputs_.end("ended", unfinished ? ExitCode::unfinished : ExitCode::ok);
        if (unfinished) throw AgreedError(ExitCode::unfinished, where + " (a signal, or the end of the job's time)");
        log_.say("{} (interrupted)", where);
    }

    // Ends the run after its last step.
    void finish() {
        if (world().rank() == 0) saves_->tidy();
        complete_branch(world(), config_);
        enter(Phase::end);
        outputs_.end("ended", ExitCode::ok);
        log_.say("done: {} steps, {} tokens; checkpoints in {}", progress_.step, progress_.consumed_tokens,
                 checkpoint_directory(config_).string());
    }

    LoadedConfig loaded_;
    const RunConfig& config_;
    Watcher* watcher_;  // null if ranks are threads of one process
    StopClock clock_;
    SpikeHistory spikes_;
    RemainingTime remaining_;
    RunSetup setup_;
    RunLog log_;
    TrainingStep step_;
    ProfilerWindow profiler_;
    RunIdentity identity_;
    Progress progress_;
    RunStart start_;
    Remembered recalled_;  // from the checkpoint that the run resumed from or began with
    RunPeak peak_;
    Recovery recovery_;
    Evaluations evaluations_;
    std::unique_ptr<RunSaves> saves_;
    StepWaits waits_;
    double longest_seconds_ = 0.0;  // of the previous step, with its evaluation and save
    RunOutputs outputs_;  // destroyed before all others but records_: its thread reads the status of all ranks
    StepRecords records_;
};

void connect_watchers(Communicator& world, const MpiSession& session) {
    std::int64_t nodes = session.local_rank() == 0 ? 1 : 0;
    world.all_reduce(&nodes, 1, ReduceOp::sum, "nodes");
    const std::string note = session.watcher().connect(world, int(nodes));
    if (!note.empty() && world.rank() == 0) fmt::print(stderr, "gpas: {}\n", note);
}

}  // namespace

WatchSettings watch_settings(const RunConfig& config) {
    return {.limits = {.silent_seconds = config.watch.silent_seconds, .stall_seconds = config.parallel.timeout_seconds},
            .directory = config.directory,
            .takes_signals = true};
}

void train(const LoadedConfig& config, std::unique_ptr<Communicator> world, int threads, const ChosenDevice& device,
           const MpiSession* session) {
    const MeshSize size = agree(*world, [&] {
        check_for_training(config);
        return check_for_world(config, world->size());
    });
    const ParallelConfig& parallel = config.values.parallel;
    world->waits() = {.timeout_seconds = parallel.timeout_seconds,
                      .verify = parallel.verify_collectives,
                      .directory = config.values.directory};
    Watcher* watcher = session != nullptr ? &session->watcher() : nullptr;
    if (watcher != nullptr) connect_watchers(*world, *session);
    // run() throws the same AgreedError on every rank. It is thrown again after the Trainer is destroyed, so that the
    // ranks finalize their communicators together: while an error unwinds the stack, each rank aborts its own.
    std::optional<AgreedError> agreed;
    {
        Trainer trainer(config, make_mesh(std::move(world), size, parallel.order), threads, device, watcher);
        try {
            trainer.run();
        } catch (const AgreedError& error) {
            agreed = error;
        }
    }
    if (agreed) throw AgreedError(*agreed);
}

}  // namespace gpas
