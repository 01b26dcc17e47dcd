#include "parallel/nccl/nccl_session.hpp"

#include "base/error.hpp"
#include "parallel/nccl/nccl_abort.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace gpas {
namespace {

constexpr std::int64_t scratch_bytes = 1024;
constexpr auto between_looks = std::chrono::milliseconds(5);
constexpr auto between_questions = std::chrono::milliseconds(100);  // between queries of asynchronous errors
constexpr auto patience_of_calls = std::chrono::seconds(1);         // longest wait for an NCCL call of another thread
constexpr auto patience_of_abort = std::chrono::seconds(3);
constexpr double finalize_seconds = 30.0;

double seconds_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

// maxCTAs of a communicator on a GPU with this number of multiprocessors: see NcclSession::Size.
int most_blocks(NcclSession::Size size, int multiprocessors) {
    return size == NcclSession::Size::collectives ? std::clamp(multiprocessors / 8, 1, 16)
                                                  : std::clamp(multiprocessors / 32, 1, 4);
}

// Names the communicator in NCCL's own messages. NCCL has commName since version 2.27.
template <class Config>
void name(Config& config, const std::string& group) {
    if constexpr (requires { config.commName; }) config.commName = group.c_str();
}

}  // namespace

NcclSession::NcclSession(std::shared_ptr<cuda::Gpu> gpu, RankShared& rank) : gpu_(std::move(gpu)), rank_(rank) {
    cuda::check(cudaGetDevice(&device_), "cudaGetDevice");
    scratch_ = cuda::allocate(scratch_bytes);
    gpu_->add_watcher(this, [this](double seconds) { watch_synchronize(seconds); });
    if (rank_.last_acts) rank_.last_acts->add(this, [this] { abort_all(); });
    watcher_ = std::thread([this] { look_after_calls(); });
}

NcclSession::~NcclSession() {
    gpu_->remove_watcher(this);
    if (rank_.last_acts) rank_.last_acts->remove(this);
    // An exception unwinds the stack: it is the reason why the rank ends. So abort, but do not report a GPU failure.
    if (!failed_ && std::uncaught_exceptions() > 0) abort_all();
    if (!failed_) finalize_all();
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    watcher_.join();
    rank_.board.gpu_call.store(0, std::memory_order_relaxed);
    if (failed_) return;  // kernels may still run: their streams and memory must stay until the process ends
    for (const auto& channel : channels_) cudaStreamDestroy(channel->stream);
    cuda::release(scratch_);
}

ncclUniqueId NcclSession::new_id() {
    ncclUniqueId id;
    check_call(nccl_.ncclGetUniqueId(&id), "ncclGetUniqueId");
    return id;
}

std::vector<NcclChannel*> NcclSession::open(const std::vector<Member>& members) {
    check();
    const std::int64_t call = rank_.calls.begin(members.front().group, "start", "NCCL", "");
    std::vector<NcclChannel*> opened;
    {
        const std::lock_guard calls(calls_);
        check();
        check_call(nccl_.ncclGroupStart(), "ncclGroupStart");
        for (const Member& member : members) {
            auto channel = std::make_unique<NcclChannel>();
            channel->group = member.group;
            channel->queue = pending_.add_queue();
            cuda::check(cudaStreamCreateWithFlags(&channel->stream, cudaStreamNonBlocking), "cudaStreamCreate");
            ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
            config.blocking = 0;
            name(config, channel->group);
            config.maxCTAs = most_blocks(member.size, gpu_->multiprocessors());
            check_call(nccl_.ncclCommInitRankConfig(&channel->comm, member.ranks, member.id, member.rank, &config),
                       "ncclCommInitRankConfig");
            opened.push_back(channel.get());
            const std::lock_guard lock(mutex_);
            channels_.push_back(std::move(channel));
        }
        check_call(nccl_.ncclGroupEnd(), "ncclGroupEnd");
    }
    wait_until_ready(opened, call, true);
    rank_.calls.end(call);
    return opened;
}

void NcclSession::connect(const std::vector<Work>& first_calls) {
    const std::int64_t call = rank_.calls.begin(first_calls.front().channel->group, "connect", "NCCL", "");
    std::vector<NcclChannel*> channels;
    for (const Work& work : first_calls) channels.push_back(work.channel);
    {
        const std::lock_guard calls(calls_);
        check();
        check_call(nccl_.ncclGroupStart(), "ncclGroupStart");
        for (const Work& work : first_calls) check_call(work.call(*work.channel), "the first call");
        check_call(nccl_.ncclGroupEnd(), "ncclGroupEnd");
    }
    wait_until_ready(channels, call, true);
    const Clock::time_point start = Clock::now();
    rank_.progress.wait(call);
    for (const NcclChannel* channel : channels) {
        const std::shared_ptr<CudaEvent> done = events_->take();
        done->record(channel->stream);
        while (!done->reached()) {
            check();
            if (limit_seconds() > 0.0 && seconds_since(start) > limit_seconds())
                fail_with(fmt::format("NCCL: {} did not finish within {} s (parallel.timeout_seconds)",
                                      text_of(rank_.calls.call(call)), rank_.waits.timeout_seconds));
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }
    rank_.progress.waited();
    rank_.calls.end(call);
}

std::shared_ptr<CudaCompletion> NcclSession::enqueue(const Work& work, std::int64_t call, const CudaEvent& after,
                                                     Kind kind) {
    check();
    if (const auto sent = std::exchange(work.channel->sent, nullptr)) sent->record();
    after.delay(work.channel->stream);
    {
        const std::lock_guard calls(calls_);
        check();
        check_call(work.call(*work.channel), text_of(rank_.calls.call(call)).c_str());
    }
    wait_until_ready({work.channel}, call, false);
    const auto done = std::make_shared<CudaCompletion>(events_->take(), work.channel->stream);
    if (kind == Kind::send)
        work.channel->sent = done;
    else
        done->record();
    pending_.add(work.channel->queue, call, done);
    return done;
}

void NcclSession::check_call(ncclResult_t result, const char* call) {
    if (result != ncclSuccess && result != ncclInProgress)
        fail_with(
            fmt::format("NCCL: {}: {} ({})", call, nccl_.ncclGetErrorString(result), nccl_.ncclGetLastError(nullptr)));
}

ncclResult_t NcclSession::state_of(const NcclChannel& channel) {
    const std::lock_guard calls(calls_);
    if (failed_ || channel.comm == nullptr) return ncclInProgress;  // aborted, or destroyed by finalize_all()
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = nccl_.ncclCommGetAsyncError(channel.comm, &state);
    return asked == ncclSuccess ? state : asked;
}

// Waits until NCCL's own threads have finished the non-blocking call (config.blocking = 0): usually short, but limited
// by the timeout, because a rank may be missing.
void NcclSession::wait_until_ready(const std::vector<NcclChannel*>& channels, std::int64_t call, bool show_waiting) {
    const Clock::time_point start = Clock::now();
    bool shown = false;
    for (const NcclChannel* channel : channels)
        while (true) {
            const ncclResult_t state = state_of(*channel);
            check();
            if (state == ncclSuccess) break;
            check_call(state, text_of(rank_.calls.call(call)).c_str());
            if (!std::exchange(shown, true) && show_waiting) rank_.progress.wait(call);
            if (limit_seconds() > 0.0 && seconds_since(start) > limit_seconds())
                fail_with(
                    fmt::format("NCCL: {} did not finish within {} s (parallel.timeout_seconds): a rank is missing "
                                "or cannot be reached",
                                text_of(rank_.calls.call(call)), rank_.waits.timeout_seconds));
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    if (shown && show_waiting) rank_.progress.waited();
}

// --- failures

// 1.2 × the timeout, so that the ranks' watchers, which can name the missing rank, report first.
double NcclSession::limit_seconds() const { return 1.2 * rank_.waits.timeout_seconds; }

void NcclSession::check() const {
    if (!failed_) return;
    const std::lock_guard lock(mutex_);
    fail(ExitCode::environment, "{}", why_);
}

void NcclSession::fail_with(const std::string& why) {
    give_up(why);
    check();
    fail(ExitCode::environment, "{}", why);
}

void NcclSession::give_up(const std::string& why) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (failed_) return;
        why_ = why;
        failed_ = true;
    }
    abort_all();
    mark_gpu_failed(rank_.board, why);
}

void NcclSession::abort_all() noexcept {
    failed_ = true;  // from now on check() throws, so no new call begins
    const std::unique_lock calls(calls_, patience_of_calls);
    std::vector<ncclComm_t> communicators;
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(aborted_, true)) return;
        for (const auto& channel : channels_)
            if (channel->comm != nullptr) communicators.push_back(channel->comm);
    }
    abort_communicators(nccl_, communicators, device_, patience_of_abort);
}

// --- the thread

void NcclSession::look_after_calls() {
    cudaSetDevice(device_);
    Clock::time_point asked = Clock::now();
    while (true) {
        {
            std::unique_lock lock(mutex_);
            changed_.wait_for(lock, between_looks, [this] { return ending_; });
            if (ending_) return;
        }
        if (failed_) continue;
        try {
            pending_.collect_finished();
            if (Clock::now() - asked > between_questions) {
                asked = Clock::now();
                look_for_errors();
                look_for_stall();
            }
        } catch (const std::exception&) {
            // An error of CUDA or NCCL: the training thread gets it at its next call.
        }
    }
}

void NcclSession::look_for_errors() {
    std::vector<NcclChannel*> channels;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& channel : channels_) channels.push_back(channel.get());
    }
    for (const NcclChannel* channel : channels) {
        const ncclResult_t state = state_of(*channel);
        if (state != ncclSuccess && state != ncclInProgress)
            give_up(fmt::format("NCCL: {} ({}) in the group {}{}", nccl_.ncclGetErrorString(state),
                                nccl_.ncclGetLastError(nullptr), channel->group, pending_.text()));
    }
}

void NcclSession::look_for_stall() {
    if (limit_seconds() > 0.0 && pending_.has_stalled(limit_seconds()))
        give_up(fmt::format("NCCL: the GPU finished no call within {} s (parallel.timeout_seconds){}",
                            rank_.waits.timeout_seconds, pending_.text()));
}

// Called while Context::synchronize() waits for the GPU, and at its end. Throws if the session has failed, because the
// results of aborted calls must not be used, or if the GPU makes no progress for longer than the limit.
void NcclSession::watch_synchronize(double seconds) {
    check();
    const double limit = limit_seconds();
    if (limit <= 0.0 || seconds <= limit || pending_.seconds_since_progress() <= limit) return;
    fail_with(fmt::format("the GPU has not finished its work within {} s (parallel.timeout_seconds){}",
                          rank_.waits.timeout_seconds, pending_.text()));
}

// --- the end

// Finalizes all communicators before waiting for any. If each were destroyed in turn, a rank would wait in one
// communicator for a peer that waits in another one: a deadlock.
void NcclSession::finalize_all() {
    if (channels_.empty()) return;
    const std::int64_t call = rank_.calls.begin("", "finalize", "NCCL", "");
    const double timeout = limit_seconds() > 0.0 ? std::min(limit_seconds(), finalize_seconds) : finalize_seconds;
    const auto bad = [](ncclResult_t state) { return state != ncclSuccess && state != ncclInProgress; };
    bool quiet = true;
    for (const auto& channel : channels_) {
        const std::lock_guard calls(calls_);
        quiet = quiet && !bad(nccl_.ncclCommFinalize(channel->comm));
    }
    const Clock::time_point start = Clock::now();
    for (const auto& channel : channels_) {
        ncclResult_t state = ncclInProgress;
        while (quiet && (state = state_of(*channel)) == ncclInProgress) {
            quiet = seconds_since(start) < timeout && !failed_;
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        quiet = quiet && !bad(state);
    }
    if (!quiet) {
        abort_all();
    } else {
        const std::lock_guard calls(calls_);
        for (const auto& channel : channels_) nccl_.ncclCommDestroy(std::exchange(channel->comm, nullptr));
    }
    rank_.calls.end(call);
}

}  // namespace gpas
