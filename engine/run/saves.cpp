#include "engine/run/saves.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "base/stopwatch.hpp"
#include "parallel/agree.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace gpas {
namespace {}  // namespace

struct RunSaves::UnderWay {
    std::int64_t step;
    Stopwatch watch;
    CheckpointSave save;
    double waited = 0.0;  // seconds that training waited for this save
};

RunSaves::RunSaves(Communicator& world, const RunConfig& config, const RunIdentity& identity, Context& context,
                   const ParameterStore& store, std::function<void(const std::string&)> say)
    : world_(world),
      config_(config),
      identity_(identity),
      context_(context),
      store_(store),
      say_(std::move(say)),
      retention_(checkpoint_directory(config), config.checkpoint.keep_last, config.checkpoint.keep_every,
                 [this](const std::filesystem::path& file) {
                     auto damage = verify_.ask(file);
                     verifying_ = !damage;
                     return damage;
                 }) {
    std::int64_t most = saved_bytes(store);
    world.all_reduce(&most, 1, ReduceOp::max, "bytes of a checkpoint per rank");
    in_background_ = checkpoint_copy_bytes(config.checkpoint, most) > 0;
    if (!in_background_ && config.checkpoint.buffer_gib > 0.0)
        say_(fmt::format("training will wait for checkpoints: a rank's part is {}, but checkpoint.buffer_gib is {}",
                         bytes_text(double(most)), config.checkpoint.buffer_gib));
    if (in_background_) take_memory();  // now: a lack of memory must not end the run later
}

RunSaves::~RunSaves() = default;

void RunSaves::take_memory() {
    state_ = agree(world_, [&] {
        try {
            return std::make_unique<HostState>(config_, context_, store_, Share::written, true, in_background_);
        } catch (const std::bad_alloc&) {
            fail(
                ExitCode::environment,
                "host memory is short: no {} for a copy of a checkpoint; lower checkpoint.buffer_gib so that training waits for "
                "checkpoints instead",
                bytes_text(double(saved_bytes(store_))));
        }
    });
}

bool RunSaves::is_due(std::int64_t step, bool last) const {
    const std::int64_t every = config_.checkpoint.every;
    return last || (every > 0 && step % every == 0) || (retry_step_ >= 0 && step >= retry_step_);
}

double RunSaves::after_step(const Progress& progress, bool last, std::optional<bool> written_everywhere,
                            const RunMemory& memory) {
    now_ = Stopwatch();
    earlier_seconds_ = 0.0;
    step_ = progress.step;
    if (under_way_ && (is_due(step_, last) || (written_everywhere ? *written_everywhere : ask_all()))) finish();
    if (is_due(step_, last)) start(progress, memory);
    if (under_way_ && (last || !in_background_)) finish();
    for (std::int64_t wait = 1; last && retry_step_ >= 0; wait *= 2) {  // no later step can retry
        std::this_thread::sleep_for(std::chrono::seconds(wait));
        start(progress, memory);
        if (under_way_) finish();
    }
    if (verifying_ && !verify_.running()) remove_old();
    const double seconds = now_.seconds();
    if (under_way_) under_way_->waited += seconds - earlier_seconds_;
    return seconds;
}

void RunSaves::tidy() {
    for (const Stopwatch waited; verifying_ && waited.seconds() < 60.0; remove_old())
        while (verify_.running() && waited.seconds() < 60.0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// Removes checkpoints that retention does not keep. On rank 0.
void RunSaves::remove_old() {
    if (owns_ && !owns_()) return;
    verifying_ = false;
    for (const std::string& note : retention_.apply()) say_(note);
}

// Called on rank 0 when the file is written and before it gets its final name.
void RunSaves::before_renaming(std::int64_t step) const {
    const std::filesystem::path directory = checkpoint_directory(config_);
    if (owns_ && !owns_())
        fail(ExitCode::rank_lost, "{}: another start of this run has taken it over; this one ends", directory.string());
    set_aside_step(directory, step);
}

bool RunSaves::written() const { return under_way_ && under_way_->save.written(); }

bool RunSaves::ask_all() {
    std::int64_t all = written() ? 1 : 0;
    world_.all_reduce(&all, 1, ReduceOp::min, "whether a checkpoint is written");
    return all == 1;
}

void RunSaves::settle() {
    now_ = Stopwatch();
    earlier_seconds_ = 0.0;
    if (under_way_) finish();
}

void RunSaves::start(const Progress& progress, const RunMemory& memory) {
    retry_step_ = -1;
    const Stopwatch watch;
    earlier_seconds_ = now_.seconds();
    try {
        if (!state_) take_memory();
        state_->download();
        CheckpointOptions options;
        options.observe = [this, step = progress.step](SavePoint point) {
            if (point == SavePoint::renaming) before_renaming(step);
        };
        under_way_.reset(new UnderWay{
            progress.step,
            watch,
            {world_, checkpoint_directory(config_), checkpoint_header(config_, identity_, progress, memory),
             state_->tensors(), CheckpointSave::By::thread, options}});
    } catch (const AgreedError& error) {
        failed(error, progress.step);
    }
}

void RunSaves::finish() {
    try {
        const std::filesystem::path file = under_way_->save.finish();
        failures_ = 0;
        const double waited = under_way_->waited + now_.seconds() - earlier_seconds_;
        say_(fmt::format("saved {} in {:.2f} s{}", file.string(), under_way_->watch.seconds(),
                         in_background_ ? fmt::format(", of which training waited {:.2f} s", waited) : ""));
        if (world_.rank() == 0) {
            retention_.wrote(under_way_->step);
            remove_old();
        }
    } catch (const AgreedError& error) {
        failed(error, under_way_->step);
    }
    under_way_.reset();
    if (!in_background_) state_.reset();
}

void RunSaves::failed(const AgreedError& error, std::int64_t step) {
    if (error.code() != ExitCode::environment) throw AgreedError(error);
    ++failures_;
    if (failures_ >= config_.checkpoint.max_failures)
        throw AgreedError(ExitCode::environment,
                          fmt::format("saving step {} failed, {} times in a row (checkpoint.max_failures): {}; earlier "
                                      "checkpoints are untouched",
                                      step, failures_, error.what()));
    retry_step_ = step_ + std::max<std::int64_t>(1, config_.checkpoint.every / 10);
    say_(
        fmt::format("saving step {} failed, {} of {} times: {}; earlier checkpoints are untouched, the next try comes "
                    "after step {} or at the end",
                    step, failures_, config_.checkpoint.max_failures, error.what(), retry_step_));
}

}  // namespace gpas
