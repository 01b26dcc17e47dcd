#include "engine/run/trainer.hpp"

#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "engine/guard/spikes.hpp"
#include "engine/guard/stragglers.hpp"
#include "engine/plan/gpu_memory.hpp"
#include "engine/plan/peak.hpp"
#include "engine/run/algorithms.hpp"
#include "engine/run/device.hpp"
#include "engine/run/evaluate.hpp"
#include "engine/run/outputs.hpp"
#include "engine/run/profile.hpp"
#include "engine/run/remaining_time.hpp"
#include "engine/run/resume.hpp"
#include "engine/run/run_lines.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/same_ranks.hpp"
#include "engine/run/same_run.hpp"
#include "engine/run/saves.hpp"
#include "engine/run/stop.hpp"
#include "engine/step/step.hpp"
#include "io/config/check.hpp"
#include "io/config/describe.hpp"
#include "io/config/enum_names.hpp"
#include "io/config/no_effect.hpp"
#include "io/metrics/metrics.hpp"
#include "io/metrics/progress_bar.hpp"
#include "kernels/cuda/profiling.hpp"
#include "parallel/agree.hpp"
#include "parallel/mesh.hpp"

#include <cstdio>
#include <limits>
#include <optional>

namespace gpas {
namespace {

class Trainer {
public:
    Trainer(const LoadedConfig& loaded, Mesh mesh, int threads, const ChosenDevice& device, Watcher* watcher)
        : loaded_(loaded),
          config_(loaded_.values),
          watcher_(watcher),
          clock_(watcher, config_.training.end_margin_seconds),
          spikes_(config_.guard),
          stragglers_(config_.watch.straggler_factor, config_.watch.straggler_steps),
          remaining_(config_),
          mesh_(std::move(mesh)),
          threads_(threads),
          device_(device),
          dtype_(storage_dtype(config_.compute.dtype)),
          data_(agree(*mesh_.world, [&] { return open(); })),
          shape_(replica_shape(config_, mesh_.size, mesh_.place, threads_, true, device_.device)),
          context_(agree(*mesh_.world, [&] { return make_checked_context(); })),
          algorithms_(choose_algorithms(*mesh_.world, shape_, *context_, config_.directory)),
          transport_(serve_device(mesh_, *context_, config_.parallel.share_gpu, shape_.compute.tensor_overlap)),
          replica_(agree(*mesh_.world,
                         [&] { return std::make_unique<Replica>(shape_, *context_, *mesh_.tensor, *mesh_.data); })),
          step_(config_, *replica_, data_.train, mesh_),
          profiler_(config_.metrics.profile, *context_),
          outputs_(config_, mesh_.world->rank(), watcher_, [this](const std::string& line) { say("{}", line); }) {}

    void run() {
        prepare();
        const std::int64_t end = last_step();
        // The run was stopped before or during the evaluation of the step that it resumes from, after the step's save.
        if (evaluation_pending_) {
            evaluation_seconds_ = evaluate_now();
            if (evaluation_pending_) return leave(agreed_stop());
        }
        if (progress_.step >= end && progress_.step > 0)
            say("nothing left to do: the checkpoint is at step {}, and {} is {}", progress_.step,
                end < config_.training.steps ? "training.stop_after" : "training.steps", end);
        while (progress_.step < end) {
            const StepResult result = train_step();
            if (result.action == StepAction::roll_back) {
                roll_back(result);
                evaluation_seconds_ = checkpoint_seconds_ = 0.0;  // the record of this step contains them already
                continue;
            }
            const bool last = progress_.step == end;
            const bool stop = result.stop != StopRequest::none && !last;
            const bool evaluation = is_due(config_.evaluation.every, last);
            // If the run must stop, it saves the checkpoint only; the next start evaluates.
            evaluation_pending_ = evaluation && data_.valid;
            evaluation_seconds_ = evaluation && !stop ? evaluate_now() : 0.0;
            const bool interrupted = evaluation_pending_ && !stop;
            checkpoint_seconds_ = save_if_due(last || stop || interrupted, result.all_written);
            if (stop || interrupted) return leave(stop ? result.stop : agreed_stop());
        }
        if (mesh_.world->rank() == 0) saves_->tidy();
        complete_branch(*mesh_.world, config_);
        enter(Phase::end);
        outputs_.end("ended", ExitCode::ok);
        say("done: {} steps, {} tokens; checkpoints in {}", progress_.step, progress_.consumed_tokens,
            checkpoint_directory(config_).string());
    }

private:
    template <class... Args>
    void say(fmt::format_string<Args...> format, Args&&... args) const {
        if (mesh_.world->rank() == 0)
            fmt::print(stderr, "gpas: {}\n", fmt::format(format, std::forward<Args>(args)...));
    }

    std::int64_t last_step() const {
        const TrainingConfig& t = config_.training;
        return t.stop_after > 0 ? std::min(t.stop_after, t.steps) : t.steps;
    }
    bool is_due(std::int64_t every, bool last) const { return every > 0 && (last || progress_.step % every == 0); }

    RunData open() const {
        return open_data(config_.data, {.seed = config_.seed,
                                        .vocab_size = config_.model.vocab_size,
                                        .validation_samples = config_.evaluation.samples,
                                        .threads = threads_,
                                        .evaluates = config_.evaluation.every > 0});
    }

    std::unique_ptr<Context> make_checked_context() const {
        check_device(config_.model, shape_.compute, device_.device);
        const ReplicaPlan plan = plan_replica(shape_);
        const std::int64_t copy = checkpoint_copy_bytes(config_.checkpoint, plan.saved_bytes);
        check_memory(loaded_, plan.total_bytes() + (device_.device == Device::cpu ? copy : 0),
                     device_memory_bytes(device_.device));
        if (device_.device == Device::cuda)
            check_free_gpu_memory(loaded_, mesh_.size, plan.total_bytes(), gpu_room(device_));
        auto context = make_context(shape_);
        context->name_work(config_.metrics.nvtx && !context->on_cpu());
        return context;
    }

    void prepare() {
        mesh_.world->log().board().stage = mesh_.place.pipeline;
        identity_ = {
            .config_text = dump_config(config_),
            .dataset_fingerprint = fmt::format("{:016x}", data_.fingerprint),
            .tokenizer_fingerprint = agree(*mesh_.world, [&] { return file_fingerprint(config_.data.tokenizer); }),
            .layout = fmt::format("tensor {}, pipeline {}, data {}", mesh_.size.tensor, mesh_.size.pipeline,
                                  mesh_.size.data)};
        check_same_data(*mesh_.world, identity_.dataset_fingerprint, identity_.tokenizer_fingerprint);
        agree(*mesh_.world, [&] {
            outputs_.take_directory();
            if (mesh_.world->rank() == 0) keep_algorithms(algorithms_);
        });
        describe();
        require_headroom();  // without memory libhdf5 can crash, too
        resume_or_initialise();
        mesh_.world->log().set_place(progress_.step, -1);  // for live.json and reports of the watcher
        agree(*mesh_.world, [&] { outputs_.open(identity_.config_text, progress_.step); });
        saves_ = std::make_unique<RunSaves>(*mesh_.world, config_, identity_, *context_, replica_->store,
                                            [this](const std::string& line) { say("{}", line); });
        saves_->set_owner([this] { return !outputs_.owned_by_another(); });
        saves_->branch_began_at(start_.base_step);
        begin_at(start_.resumed);
        require_headroom();
        find_peak();
        if (clock_.seconds_left() < config_.training.end_margin_seconds)
            say("the job ends in {:.0f} s, which is less than training.end_margin_seconds: the run will save and end "
                "after its "
                "first step; give the job more time, or lower the margin",
                clock_.seconds_left());
    }

    // Sets peak_flops_. The peak is measured once per run and layout and saved in checkpoints, so that MFU before and
    // after a resume uses the same peak.
    void find_peak() {
        const MeasuredPeak wanted{.key = peak_key(device_.device, threads_, dtype_, mesh_.world->size())};
        double known = recalled_peak_.key == wanted.key ? recalled_peak_.flops : 0.0;
        mesh_.world->broadcast(&known, sizeof known, 0, "the remembered peak rate");  // the key has rank 0's processor
        Peak peak;
        if (config_.compute.peak_tflops > 0)
            peak = {.flops = config_.compute.peak_tflops * 1e12, .source = "compute.peak_tflops"};
        else if (known > 0)
            peak = {.flops = known / mesh_.world->size(), .source = "measured by an earlier start", .measured = true};
        else
            peak = peak_of_device(device_.device, threads_, dtype_);
        peak_flops_ = peak.flops;
        mesh_.world->all_reduce(&peak_flops_, 1, ReduceOp::sum, "peak rate");
        if (peak.measured && known > 0) peak_flops_ = known;  // the same bits as before, without the sum's rounding
        if (peak.measured) measured_peak_ = {.key = wanted.key, .flops = peak_flops_};
        say("peak {:.3g} TFLOP/s over {} ranks ({})", peak_flops_ / 1e12, mesh_.world->size(), peak.source);
    }

    // Error(environment) if less than 96 MiB of host memory are left: libraries crash without memory. On every rank.
    void require_headroom() const {
        constexpr std::int64_t headroom_bytes = std::int64_t(96) << 20;
        agree(*mesh_.world, [&] { require_host_headroom(headroom_bytes); });
    }

    void describe() const {
        if (!device_.note.empty()) say("{}", device_.note);
        if (!algorithms_.note.empty()) say("{}", algorithms_.note);
        if (!transport_.empty()) say("{}", transport_);
        for (const std::string& line : run_lines(config_, mesh_, *replica_, step_.micro_batches())) say("{}", line);
        for (const std::string& line : truncation_lines(data_)) say("{}", line);
        for (const std::string& line : lines_about_ineffective_keys(config_)) say("{}", line);
        if (device_.device == Device::cpu && config_.compute.device != DeviceKind::cpu &&
            (config_.metrics.nvtx || config_.metrics.profile.from > 0))
            say("metrics.nvtx and metrics.profile have no effect: the run is on the CPU");
    }

    RunParts parts() {
        const bool in_job = watcher_ != nullptr && !watcher_->launch().job_id.empty();
        return {*mesh_.world, *mesh_.data, config_, identity_, *context_, replica_->store, in_job};
    }

    void say_all(const std::vector<std::string>& lines) const {
        for (const std::string& line : lines) say("{}", line);
    }

    void resume_or_initialise() {
        std::vector<std::string> notes;
        start_ = resume_run(parts(), notes);
        if (start_.resumed) {
            progress_ = start_.resumed->progress;
            recall(start_.resumed->memory);
            notes.push_back(fmt::format("resuming from {} at step {}", start_.resumed->file.string(), progress_.step));
            notes.insert(notes.end(), start_.resumed->changes.begin(), start_.resumed->changes.end());
        } else if (!config_.checkpoint.init_from.empty()) {
            const std::filesystem::path file = initial_weights_file(*mesh_.world, config_);
            for (const std::string& line :
                 agree(*mesh_.world, [&] { return check_same_model(read_header(file), config_, identity_, file); }))
                notes.push_back(line);
            load_run(*mesh_.world, *mesh_.data, config_, *context_, file, replica_->store, false);
            token_ids_ = agree(*mesh_.world, [&] {
                RunMemory found = read_header(file).extra;
                return found["token_ids"];
            });
            notes.push_back(fmt::format("starting from the weights of {}", file.string()));
        } else {
            initialise(replica_->context, replica_->store, config_.seed, *mesh_.data);
            notes.push_back(fmt::format("starting from initial weights of seed {}", config_.seed));
        }
        take_branch(parts(), start_, notes);
        say_all(notes);
    }

    // To be called when the state was loaded from this checkpoint; nothing: it is the initial weights.
    void begin_at(const std::optional<Resumed>& resumed) {
        saves_->resumed_from(resumed && resumed->of_this_run ? progress_.step : -1);
        trust_up_to(progress_.step);  // all replicas have loaded the same state
    }

    // Replicas were found equal at this step. Without comparisons of replicas all steps stay trusted.
    void trust_up_to(std::int64_t step) {
        if (config_.guard.weights_every == 0 || mesh_.size.data * mesh_.size.tensor == 1) return;
        trusted_ = step;
        saves_->trust_up_to(trusted_);
    }

    // Before the run ends with different weights: sets aside the checkpoints after the last comparison that passed,
    // since they may have wrong weights.
    void set_aside_suspects() {
        std::vector<std::string> notes;
        set_aside_later(*mesh_.world, config_, trusted_,
                        fmt::format("replicas differ at step {}, and the last comparison that passed was that of step "
                                    "{}'s weights",
                                    progress_.step, trusted_),
                        notes);
        say_all(notes);
    }

    void recall(const RunMemory& memory) {
        const auto losses = memory.find("recent_losses");
        spikes_.restore(losses == memory.end() ? "" : losses->second);
        const auto peak = memory.find("measured_peak");
        recalled_peak_ = peak == memory.end() ? MeasuredPeak{} : parse_peak(peak->second);
        const auto ids = memory.find("token_ids");
        token_ids_ = ids == memory.end() ? "" : ids->second;
        evaluation_pending_ = memory.contains("evaluation_pending") && config_.evaluation.every > 0 && data_.valid;
    }

    // Returns to the last checkpoint that a comparison of replicas has confirmed. The run continues from there with the
    // data after this step's.
    void roll_back(const StepResult& result) {
        const Progress bad = progress_;
        saves_->settle();
        const EventMetrics& event = result.events.back();  // the event that caused the roll back
        const std::string& why = event.text;
        if (++roll_backs_ > config_.guard.max_roll_backs)
            stop(event, fmt::format("{} (after {} roll backs, guard.max_roll_backs)", why, roll_backs_ - 1));
        std::vector<std::string> notes;
        replica_->store.await_weights();
        const auto resumed = roll_back_run(parts(), start_, trusted_, notes);
        say_all(notes);
        if (!resumed)
            stop(event, why +
                            " (there is no checkpoint to roll back to that was written before the last comparison of "
                            "replicas that passed)");
        progress_ = resumed->progress;
        progress_.consumed_samples = bad.consumed_samples;
        recall(resumed->memory);
        begin_at(resumed);
        agree(*mesh_.world, [&] { outputs_.reopen_metrics(progress_.step); });
        outputs_.write(
            EventMetrics{.step = progress_.step,
                         .event = "roll_back",
                         .action = "roll_back",
                         .text = fmt::format("from step {} to {}; the data go on with sample {}. {}", bad.step,
                                             resumed->file.string(), progress_.consumed_samples, why)});
    }

    // Ends the run after a step with bad numbers, a spike or different weights. event: of the step; why: for the error.
    [[noreturn]] void stop(const EventMetrics& event, const std::string& why) {
        if (event.event == "different_weights") set_aside_suspects();
        outputs_.end("failed", ExitCode::bad_numbers);
        throw AgreedError(ExitCode::bad_numbers,
                          fmt::format("step {}: {}; {}", progress_.step, why, advice_on(event.event)));
    }

    // Returns the seconds that training waited.
    double save_if_due(bool last, bool all_written) {
        const bool due = saves_->is_due(progress_.step, last);
        if (due) enter(Phase::save);
        const cuda::Range range(due && context_->names_work(), "checkpoint");
        if (due) outputs_.flush();
        const double seconds = saves_->after_step(progress_, last, all_written, due ? memory() : RunMemory{});
        if (due) remaining_.add_save();
        remaining_.add_checkpoint_wait(seconds);
        return seconds;
    }

    RunMemory memory() const {
        RunMemory memory{{"recent_losses", spikes_.text()}};
        if (measured_peak_.flops > 0) memory["measured_peak"] = text_of(measured_peak_);
        if (!token_ids_.empty()) memory["token_ids"] = token_ids_;
        if (evaluation_pending_) memory["evaluation_pending"] = "yes";
        return memory;
    }

    // Ends the run before its last step, after its checkpoint was saved. On every rank.
    void leave(StopRequest why) {
        const std::string where = fmt::format("stopped at step {} of {}, saved; the same command continues the run",
                                              progress_.step, config_.training.steps);
        enter(Phase::end);
        const bool unfinished = why == StopRequest::unfinished;
        outputs_.end("ended", unfinished ? ExitCode::unfinished : ExitCode::ok);
        if (unfinished) throw AgreedError(ExitCode::unfinished, where + " (a signal, or the end of the job's time)");
        say("{} (interrupted)", where);
    }

    void enter(Phase phase) const { mesh_.world->log().enter(phase, progress_.step); }

    StepResult train_step() {
        const Stopwatch watch;
        const std::int64_t number = progress_.step + 1;
        const bool with_stream = config_.metrics.gpas_every > 0 && number % config_.metrics.gpas_every == 0;
        profiler_.before_step(number);
        const StepResult result =
            step_.run({.step = progress_.step,
                       .update = progress_.updates + 1,
                       .first_sample = progress_.consumed_samples,
                       .with_gpas_view = with_stream,
                       .vote = [&] { return StepVote{saves_->written(), clock_.after_step(longest_seconds_)}; },
                       .spikes = &spikes_});
        profiler_.after_step(number);
        if (result.replicas_agreed) trust_up_to(progress_.step);
        const bool updated = result.action == StepAction::update;
        progress_.step = number;
        progress_.updates += updated ? 1 : 0;
        if (updated) spikes_.add(result.loss, result.gradient_norm);
        progress_.consumed_samples += config_.training.global_batch_size;
        progress_.consumed_tokens += config_.training.global_batch_size * config_.data.sequence_length;
        remaining_.add_step(watch.seconds());
        if (outputs_.writes()) {
            record(result);
            for (const EventMetrics& event : result.events) outputs_.write(event);
            look_for_stragglers();
        }
        if (result.action == StepAction::stop) stop(result.events.back(), result.events.back().text);
        note_skipped(result);
        longest_seconds_ = watch.seconds() + evaluation_seconds_ + checkpoint_seconds_;
        add_step(mesh_.world->log().board(), result.seconds);
        return result;
    }

    // On rank 0, whose watcher receives the status of all ranks.
    void look_for_stragglers() {
        if (watcher_ == nullptr || !stragglers_.is_due(progress_.step)) return;
        for (const Straggler& slow : stragglers_.find(watcher_->ranks()))
            outputs_.write(
                EventMetrics{.step = progress_.step, .event = "straggler", .rank = slow.rank, .text = slow.text});
    }

    void note_skipped(const StepResult& result) {
        if (result.action == StepAction::no_tokens) return;
        const bool skipped = result.action == StepAction::skip;
        skipped_in_a_row_ = skipped ? skipped_in_a_row_ + 1 : 0;
        if (skipped_in_a_row_ >= config_.training.max_skipped_steps)
            stop(result.events.back(), fmt::format("{} steps in a row were skipped (training.max_skipped_steps): {}",
                                                   skipped_in_a_row_, result.events.back().text));
    }

    void record(const StepResult& result) {
        const PhaseSeconds& seconds = result.seconds;
        outputs_.write(StepMetrics{.step = progress_.step,
                                   .steps_total = config_.training.steps,
                                   .consumed_samples = progress_.consumed_samples,
                                   .consumed_tokens = progress_.consumed_tokens,
                                   .loss_tokens = result.loss_tokens,
                                   .loss = result.loss,
                                   .learning_rate = result.learning_rate,
                                   .gradient_norm = result.gradient_norm,
                                   .gate_gradient_norm = result.gate_gradient_norm,
                                   .clipped = result.clipped,
                                   .gates_clipped = result.gates_clipped,
                                   .skipped = result.action != StepAction::update,
                                   .tokens = config_.training.global_batch_size * config_.data.sequence_length,
                                   .flops = flops_per_token(config_.model, config_.data.sequence_length),
                                   .peak_flops = peak_flops_,
                                   .seconds = {.data = seconds.data,
                                               .compute = seconds.compute,
                                               .communication = seconds.communication,
                                               .optimizer = seconds.optimizer,
                                               .evaluation = evaluation_seconds_,
                                               .checkpoint = checkpoint_seconds_},
                                   .seconds_left = remaining_.seconds_left(progress_.step),
                                   .arena_bytes = replica_->plan().total_bytes(),
                                   .resident_bytes = resident_bytes()});
        if (!result.stream.empty()) outputs_.write(gpas_view(config_, progress_.step, result));
    }

    // The strongest request to stop of all ranks. Collective.
    StopRequest agreed_stop() const {
        std::int64_t stop = std::int64_t(clock_.now());
        mesh_.world->all_reduce(&stop, 1, ReduceOp::max, "requests to stop");
        return stop == 0 ? StopRequest::unfinished : StopRequest(stop);
    }

    // Evaluates and returns the seconds. Clears evaluation_pending_. If a request to stop interrupts the evaluation, no
    // loss is written and the evaluation stays pending.
    double evaluate_now() {
        if (!data_.valid) return 0.0;
        enter(Phase::evaluation);
        const cuda::Range range(*context_, "evaluation");
        std::optional<ProgressBar> bar;
        if (mesh_.world->rank() == 0) bar.emplace("evaluating", 1000, "");
        const EvaluationResult result = evaluate(
            *replica_, mesh_, pipeline_shape(config_, mesh_.size), *data_.valid, config_.data.mask_documents,
            [&](double share) {
                if (bar) bar->advance_to(std::int64_t(1000 * share));
            },
            [&] { return clock_.now() != StopRequest::none; });
        bar.reset();
        if (result.interrupted) {
            say("the evaluation at step {} was interrupted; the next start does it", progress_.step);
            return result.seconds;
        }
        evaluation_pending_ = false;
        remaining_.add_evaluation(result.seconds);
        outputs_.write(EvalMetrics{
            .step = progress_.step, .loss = result.loss, .tokens = result.tokens, .seconds = result.seconds});
        return result.seconds;
    }

    LoadedConfig loaded_;
    const RunConfig& config_;
    Watcher* watcher_;  // null if ranks are threads of one process
    StopClock clock_;
    SpikeHistory spikes_;
    std::string token_ids_;  // of the imported model that the run began with; empty: the run began otherwise
    Stragglers stragglers_;
    RemainingTime remaining_;
    Mesh mesh_;
    int threads_;
    ChosenDevice device_;
    Dtype dtype_;
    RunData data_;
    ReplicaShape shape_;
    std::unique_ptr<Context> context_;
    ChosenAlgorithms algorithms_;  // before transport_ and replica_: the timing needs GPU memory
    std::string transport_;        // of collectives on device memory, for the log
    std::unique_ptr<Replica> replica_;
    TrainingStep step_;
    ProfilerWindow profiler_;
    RunIdentity identity_;
    Progress progress_;
    RunStart start_;
    std::int64_t trusted_ = std::numeric_limits<std::int64_t>::max();  // step up to which replicas were found equal
    std::unique_ptr<RunSaves> saves_;
    double peak_flops_ = 0.0;
    MeasuredPeak recalled_peak_;  // from the checkpoint that the run resumed from
    MeasuredPeak measured_peak_;  // of this run; flops 0: not measured
    double evaluation_seconds_ = 0.0;
    double checkpoint_seconds_ = 0.0;
    double longest_seconds_ = 0.0;     // of the previous step, with its evaluation and save
    bool evaluation_pending_ = false;  // the evaluation of the last completed step is still due
    std::int64_t skipped_in_a_row_ = 0;
    std::int64_t roll_backs_ = 0;
    RunOutputs outputs_;  // destroyed first: its thread reads the status of all ranks
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
    world->log().settings = {.timeout_seconds = parallel.timeout_seconds,
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
