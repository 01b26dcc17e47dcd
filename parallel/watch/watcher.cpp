#include "parallel/watch/watcher.hpp"

#include "base/cgroup.hpp"
#include "base/error.hpp"
#include "base/fixed_text.hpp"
#include "base/masked_signals.hpp"
#include "base/wall_clock.hpp"
#include "parallel/watch/direct_output.hpp"
#include "parallel/watch/failure_report.hpp"
#include "parallel/watch/peers.hpp"
#include "parallel/watch/stack_trace.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

namespace gpas {
namespace {

constexpr double stack_seconds = 0.3;      // wait for a rank's stack
constexpr double details_seconds = 1.0;    // wait for the stacks and calls of other nodes
constexpr double settle_seconds = 0.05;    // wait for further losses with the same cause
constexpr double hearsay_seconds = 0.4;    // wait for watchers on the lost rank's node, if only a connection was closed
constexpr double gathering_seconds = 5.0;  // after the start: look often for ranks of this node that start later
constexpr double leader_seconds = 3.0;     // wait for rank 0 to end the job, before this rank does
constexpr double last_acts_seconds = 2.0;  // wait for the last acts: NCCL communicators to be aborted

double seconds_since(std::int64_t nanoseconds) { return double(monotonic_nanoseconds() - nanoseconds) * 1e-9; }

// Global, for the atexit() handler: whether the watcher is ending the job, and the pid of the process that has a
// watcher (0: no watcher; a forked child sees its parent's pid).
std::atomic<bool> concluding = false;
std::atomic<pid_t> watching = 0;

// Delays the end of the process: up to 0.5 s for the watcher to detect a lost rank, then up to 10 s for it to write the
// report and end the process.
void let_the_watcher_report() {
    // The launcher may report through MPI that another rank is lost, before the watcher has detected the loss itself.
    const auto is_watched = [] { return watching == getpid(); };
    constexpr auto a_moment = std::chrono::milliseconds(10);
    for (int i = 0; i < 50 && is_watched() && !concluding; ++i) std::this_thread::sleep_for(a_moment);
    for (int i = 0; i < 1000 && is_watched() && concluding; ++i) std::this_thread::sleep_for(a_moment);
}

}  // namespace

class Watcher::Impl {
public:
    Impl(const Launch& launch, const WatchSettings& settings)
        : launch_(launch),
          settings_(settings),
          signals_(settings.takes_signals),
          rank_(launch.rank),
          size_(launch.size),
          started_(seconds_since_1970()) {
        peers_.directory().remove_leftovers();
        board_ = peers_.directory().make(rank_, &note_);
        open_board(*board_, rank_, size_);
        stacks_.emplace(*board_);
        set_beat();
        kills_before_ = memory_kills();
        wake_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        // Handlers of exit() run in reverse order: this one runs before that of StackAnswers, which records the exit.
        static const bool registered = std::atexit(let_the_watcher_report) == 0;
        (void)registered;
        watching = getpid();
        start_thread();
    }

    ~Impl() {
        finished();
        over_ = true;
        wake();
        thread_.join();
        watching = 0;
    }

    const Launch& launch() const { return launch_; }
    RankBoard& board() { return *board_; }
    std::shared_ptr<LastActs> last_acts() const { return last_acts_; }
    StopRequest stop_request() const { return signals_.request(); }

    void read_settings() {
        WatchSettings settings = settings_;
        if (settings_.read) settings_.read(settings);
        const std::lock_guard lock(mutex_);
        settings_ = settings;
        set_beat();
        settings_read_ = true;
        board_->moved_nanoseconds = monotonic_nanoseconds();
    }

    void begin_mpi() {
        CommLog log(*board_);
        init_call_ = log.begin("", "MPI_Init", "all ranks", "");
        log.wait(init_call_);
    }

    void joined(int rank, int size, int ranks_here) {
        stacks_->watch_crashes();
        if (init_call_ > 0) {
            CommLog log(*board_);
            log.waited();
            log.end(init_call_);
        }
        const std::lock_guard lock(mutex_);
        joined_ = true;
        rank_ = rank;
        size_ = size;
        board_->rank = rank;
        board_->size = size;
        peers_.know(rank, ranks_here);
    }

    std::string connect(Communicator& world, int nodes) {
        std::string point;
        std::string why;
        std::int64_t connected = 1;
        if (world.rank() == 0) {
            auto listener = std::make_unique<Listener>(nodes == 1);
            point = text_of(listener->point());
            const std::lock_guard lock(mutex_);
            peers_.listen(std::move(listener));
        }
        wake();
        broadcast(world, point, 0, "where rank 0's watcher is");
        if (world.rank() != 0) {
            auto link = connect_to(meeting_point_of(point), 3.0, &why);
            connected = link ? 1 : 0;
            if (link) {
                link->send(Message::hello, status());
                const std::lock_guard lock(mutex_);
                peers_.add_leader(std::move(*link));
            }
            wake();
        }
        std::int64_t least[2] = {connected, connected ? world.size() : world.rank()};
        world.all_reduce(least, 2, ReduceOp::min, "whether watchers are connected");
        if (least[0] == 1) return note_;
        broadcast(world, why, int(least[1]), "why a watcher is not connected");
        return fmt::format(
            "rank {} cannot connect to rank 0's watcher ({}): ranks of other nodes are missed only after "
            "parallel.timeout_seconds",
            least[1], why);
    }

    std::vector<RankStatus> ranks() const {
        const std::lock_guard lock(mutex_);
        std::vector<RankStatus> all;
        for (const auto& [rank, view] : peers_.views(*board_)) all.push_back(view.status);
        return all;
    }

    void rest(bool resting) {
        resting_ = resting;
        wake();
    }

    void superseded() {
        superseded_ = true;
        wake();
    }

    void finished() {
        if (board_->state == RankState::running) board_->state = RankState::finished;
        board_->phase = Phase::end;
        wake();
    }

    void failed(bool others_may_be_lost) {
        if (others_may_be_lost) {
            wake();  // the thread checks the boards and frames at once
            let_the_watcher_report();
        }
        board_->state = RankState::failed;
        watching = 0;
    }

private:
    void set_beat() {
        const double silent = settings_.limits.silent_seconds;
        beat_seconds_ = silent > 0.0 ? std::min(1.0, silent / 4.0) : 1.0;
    }

    // --- the thread

    void start_thread() {
        const MaskedSignals masked;
        thread_ = std::thread([this] { watch(); });
    }

    void wake() {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
    }

    void watch() {
        std::int64_t last_beat = 0;
        while (!over_) {
            wait_for_events(std::clamp(beat_seconds_ - seconds_since(last_beat), 0.0, longest_pause()));
            signals_.receive(rank_);
            if (resting_) {
                last_beat = monotonic_nanoseconds();
                continue;
            }
            const std::lock_guard lock(mutex_);
            receive();
            if (seconds_since(board_->made_nanoseconds) < gathering_seconds) peers_.find_neighbours();
            if (seconds_since(last_beat) >= beat_seconds_) {
                // This thread itself was late. Probably the whole node was frozen, and all ranks only appear silent.
                if (last_beat != 0 && seconds_since(last_beat) > 3.0 * beat_seconds_) peers_.forgive();
                last_beat = monotonic_nanoseconds();
                beat();
            }
            look();
        }
        const std::lock_guard lock(mutex_);
        peers_.for_each_link([](int, Link& link) { link.send(Message::goodbye); });
    }

    void receive() {
        peers_.receive([this](int from, const Frame& frame) { take(from, frame); });
    }

    // Short at first, because ranks start one after the other, and while the job is ending.
    double longest_pause() const {
        const bool soon = seconds_since(board_->made_nanoseconds) < gathering_seconds || concluding;
        return soon ? 0.1 : beat_seconds_.load();
    }

    void wait_for_events(double seconds) {
        std::vector<pollfd> events{{wake_.get(), POLLIN, 0}};
        if (signals_.descriptor() >= 0) events.push_back({signals_.descriptor(), POLLIN, 0});
        {
            const std::lock_guard lock(mutex_);
            const std::vector<pollfd> others = peers_.events(settled());
            events.insert(events.end(), others.begin(), others.end());
        }
        poll(events.data(), events.size(), int(seconds * 1000) + 1);
        std::uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t came = read(wake_.get(), &ignored, sizeof ignored);
    }

    void beat() {
        board_->heartbeat_nanoseconds = monotonic_nanoseconds();
        peers_.find_neighbours();
        const RankStatus mine = status();
        peers_.for_each_link([&](int, Link& link) { link.send(Message::status, mine); });
    }

    RankStatus status() const { return read_status(*board_, monotonic_nanoseconds()); }

    void take(int from, const Frame& frame) {
        switch (frame.message) {
            case Message::finding:
                if (const auto finding = frame.as<Finding>()) add(*finding);
                break;
            case Message::collect:
                concluding = true;
                send_details(from);
                break;
            case Message::details:
                if (frame.payload.empty())
                    ++nodes_answered_;
                else
                    details_.push_back(frame.payload);
                break;
            case Message::end: end_process();
            default: break;
        }
    }

    // --- judging

    void look() {
        if (board_->ended) end_process();
        if (board_->state == RankState::failed) return;  // the rank prints its own error and ends the job
        judge_all();
        if (!joined_) look_at_start();
        look_at_gpu();
        if (launched_ && getppid() != parent_) add({.how = Loss::orphaned, .last = status(), .seen_by = rank_});
        if (superseded_) add({.how = Loss::superseded, .last = status(), .seen_by = rank_});
        if (findings_.empty() || over_) return;
        concluding = true;
        if (!noticed_nanoseconds_) noticed_nanoseconds_ = monotonic_nanoseconds();
        const bool late = seconds_since(*noticed_nanoseconds_) > leader_seconds;
        Link* leader = link_to_leader();
        if (leader != nullptr) tell(*leader);
        // Rank 0 ends the job. If it is lost or cannot be reached, the lowest rank of each node ends its node's ranks.
        if (rank_ == 0 || late || (leader == nullptr && peers_.is_lowest_here(settled()))) conclude();
    }

    void judge_all() {
        const std::map<int, WatchedRank> views = peers_.views(*board_);
        const WatchLimits limits = limits_now(settings_.limits, views);
        for (const auto& [rank, view] : views) {
            if (const auto loss = judge(view, limits))
                add(finding_of(*loss, view));
            else if (view.gone)
                settled_.emplace(rank, Finding{});
        }
    }

    Finding finding_of(Loss loss, const WatchedRank& view) const {
        Finding finding{.how = loss, .last = view.status, .seen_by = rank_};
        if (loss != Loss::died || !view.local) return finding;
        const std::string killed = memory_kills_text(kills_before_, memory_kills(), cgroup_memory_limit());
        if (killed.empty()) return finding;
        finding.how = Loss::out_of_memory;
        copy_text(finding.detail, killed);
        return finding;
    }

    // Checks the time limit for the settings and for MPI_Init. Before joined() only boards show which ranks have
    // started, and only on this node.
    void look_at_start() {
        const RankStatus mine = status();
        const double limit = start_seconds();
        if (limit <= 0.0 || mine.still_seconds <= limit || !findings_.empty()) return;
        if (!settings_read_) return add({.how = Loss::stalled, .last = mine, .seen_by = rank_});
        if (mine.call[0] == '\0') return;
        const std::map<int, WatchedRank> here = peers_.views(*board_);
        if (launch_.local_size == size_) {  // all ranks are on this node
            for (int rank = 0; rank < size_; ++rank)
                if (!here.contains(rank))
                    add({.how = Loss::missing,
                         .last = {.rank = rank, .silent_seconds = mine.still_seconds},
                         .seen_by = rank_});
            return;
        }
        Finding unmet{.how = Loss::unmet, .last = mine, .seen_by = rank_};
        const std::string expected = launch_.local_size > 0 ? fmt::format(" of {}", launch_.local_size) : std::string();
        copy_text(unmet.detail, fmt::format("{}{} ranks of its node have started", here.size(), expected));
        add(unmet);
    }

    // The thread that tracks GPU calls (NcclSession) aborts them at 1.2 × stall_seconds and calls CommLog::gpu_failed.
    // If that thread is itself blocked in a CUDA call, this watcher reports the GPU at 1.4 × stall_seconds.
    void look_at_gpu() {
        const RankStatus mine = status();
        const double limit = 1.4 * settings_.limits.stall_seconds;
        const bool failed = board_->gpu_failed.load(std::memory_order_acquire);
        if (!failed && (limit <= 0.0 || board_->gpu_call == 0 || mine.still_seconds <= limit)) return;
        Finding finding{.how = failed ? Loss::gpu_failed : Loss::gpu_stalled, .last = mine, .seen_by = rank_};
        if (failed) copy_text(finding.detail, text_in(board_->gpu_trouble));
        add(finding);
    }

    double start_seconds() const {
        const char* text = std::getenv("GPAS_START_SECONDS");
        const double seconds = text != nullptr ? std::atof(text) : 0.0;
        return seconds > 0.0 ? seconds : settings_.limits.stall_seconds;
    }

    std::set<int> settled() const {
        std::set<int> ranks;
        for (const auto& [rank, finding] : settled_) ranks.insert(rank);
        return ranks;
    }

    void add(const Finding& finding) {
        const auto known = settled_.find(finding.last.rank);
        const bool better = known == settled_.end() || (is_hearsay(known->second.how) && !is_hearsay(finding.how));
        if (!better) return;
        // A finding by a watcher on the rank's own node replaces one that comes from a connection.
        std::erase_if(findings_, [&](const Finding& other) { return other.last.rank == finding.last.rank; });
        settled_[finding.last.rank] = finding;
        findings_.push_back(finding);
    }

    // Null if this is rank 0, or if rank 0 is lost or cannot be reached.
    Link* link_to_leader() { return rank_ == 0 || settled_.contains(0) ? nullptr : peers_.link_to(0); }

    void tell(Link& leader) {
        for (; told_ < findings_.size(); ++told_) leader.send(Message::finding, findings_[told_]);
    }

    // --- the end

    // The lowest rank of a node that is not lost sends the details of the node.
    void send_details(int to) {
        Link* link = peers_.link_to(to);
        if (link == nullptr) return;
        if (peers_.is_lowest_here(settled()))
            for (const std::string& text : details_of_node()) link->send(Message::details, text);
        link->send(Message::details);  // empty: there are no more
    }

    std::vector<std::string> details_of_node() {
        std::map<int, RankBoard*> boards{{rank_, &*board_}};
        peers_.for_each_neighbour([&](int rank, RankBoard& board, const MappedBoard&) { boards[rank] = &board; });
        std::vector<std::string> details;
        for (auto& [rank, board] : boards) {
            const bool lost = settled_.contains(rank);
            const bool answered = ask_for_stack(*board, lost, stack_seconds);
            details.push_back(rank_details(*board, answered));
            // A rank that reported itself (is_consequence) still works, and ends by itself when the job ends.
            if (lost && !is_consequence(settled_.at(rank).how) && rank != rank_ &&
                process_start_ticks(board->pid) == board->process_start)
                kill(board->pid, SIGKILL);  // a stopped or hanging process would outlive the job
        }
        return details;
    }

    // Writes the report and ends the job. The detached thread ends the process after 10 s in any case, because the file
    // system of the report may hang, too.
    void conclude() {
        std::thread([] {
            std::this_thread::sleep_for(std::chrono::seconds(10));
            _exit(int(ExitCode::rank_lost));
        }).detach();
        hear_others_out();
        ReportFile report(settings_.directory, launch_.job_key, started_);
        tell(report);
        collect_details(report);
        if (rank_ == 0) peers_.for_each_link([](int, Link& link) { link.send(Message::end); });
        peers_.for_each_neighbour([](int, RankBoard& board, const MappedBoard&) { board.ended = true; });
        pause_for(0.05);  // time for the kernel to send the frames
        end_process();
    }

    // Waits for further losses with the same cause, and for findings of watchers on the lost ranks' nodes.
    void hear_others_out() {
        const bool from_beside = std::any_of(findings_.begin(), findings_.end(), [&](const Finding& finding) {
            return peers_.is_neighbour(finding.last.rank);
        });
        if (rank_ != 0 && !from_beside) pause_for(0.5);
        const auto all_hearsay = [&] {
            return std::all_of(findings_.begin(), findings_.end(), [](const Finding& finding) {
                return is_hearsay(finding.how) || is_consequence(finding.how);
            });
        };
        const std::int64_t start = monotonic_nanoseconds();
        while (seconds_since(start) < (all_hearsay() ? hearsay_seconds : settle_seconds)) gather();
        // The first finding is reported as the cause.
        std::stable_partition(findings_.begin(), findings_.end(),
                              [](const Finding& finding) { return !is_consequence(finding.how); });
    }

    void gather() {
        receive();
        judge_all();
        pause_for(0.01);
    }

    void tell(ReportFile& report) const {
        Failure failure{.findings = findings_, .size = size_, .reporter = rank_, .job = job_name()};
        for (const auto& [rank, view] : peers_.views(*board_)) failure.ranks.push_back(view.status);
        for (RankStatus& rank : failure.ranks)
            for (const Finding& finding : findings_)
                if (finding.last.rank == rank.rank) rank = finding.last;
        report.append((report.is_first() ? "" : "\nAlso seen: ") + report_text(failure));
        const std::string where = report.path().empty() ? "" : fmt::format("; report: {}", report.path().string());
        if (report.is_first() || report.path().empty())
            write_stderr_now(fmt::format("gpas: error: {}{}\n", headline(failure), where));
    }

    // Appends stacks and last calls: of this node's ranks, and on rank 0 also of the other nodes' ranks.
    void collect_details(ReportFile& report) {
        std::int64_t asked = 0;
        nodes_answered_ = 0;
        if (rank_ == 0)
            peers_.for_each_link([&](int rank, Link& link) {
                if (settled_.contains(rank)) return;
                link.send(Message::collect);
                ++asked;
            });
        for (const std::string& text : details_of_node()) report.append(text);
        const std::int64_t start = monotonic_nanoseconds();
        while (nodes_answered_ < asked && seconds_since(start) < details_seconds) gather();
        for (const std::string& text : details_) report.append(text);
    }

    static void pause_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

    std::string job_name() const {
        return launch_.job_id.empty() ? launch_.job_key
                                      : fmt::format("{} (start {})", launch_.job_id, launch_.attempt + 1);
    }

    [[noreturn]] void end_process() {
        last_acts_->run(last_acts_seconds);
        board_->state = RankState::failed;
        unlink(board_.file().c_str());
        peers_.for_each_neighbour([&](int rank, RankBoard&, const MappedBoard& board) {
            if (settled_.contains(rank)) unlink(board.file().c_str());
        });
        _exit(int(ExitCode::rank_lost));
    }

    Launch launch_;
    WatchSettings settings_;
    StopSignals signals_;
    int rank_;
    int size_;
    bool launched_ = size_ > 1;  // has a launcher, which must exist as long as the ranks
    pid_t parent_ = getppid();
    double started_;  // seconds since 1970
    std::string note_;
    MappedBoard board_;
    std::optional<StackAnswers> stacks_;
    std::shared_ptr<LastActs> last_acts_ = std::make_shared<LastActs>();
    std::atomic<double> beat_seconds_ = 1.0;
    MemoryKills kills_before_;  // when this rank started
    std::int64_t init_call_ = 0;
    std::atomic<bool> joined_ = false;
    std::atomic<bool> settings_read_ = false;
    Descriptor wake_;
    std::atomic<bool> over_ = false;
    std::atomic<bool> superseded_ = false;
    std::atomic<bool> resting_ = false;

    mutable std::mutex mutex_;  // guards the members below
    Peers peers_{launch_.job_key, rank_, size_};
    std::vector<Finding> findings_;
    std::map<int, Finding> settled_;  // ranks that need no further check: lost, or finished normally
    std::size_t told_ = 0;
    std::optional<std::int64_t> noticed_nanoseconds_;  // when this watcher got its first finding
    std::int64_t nodes_answered_ = 0;
    std::vector<std::string> details_;
    std::thread thread_;  // declared last, because it uses all members above
};

Watcher::Watcher(const Launch& launch, const WatchSettings& settings)
    : impl_(std::make_unique<Impl>(launch, settings)) {}
Watcher::~Watcher() = default;
const Launch& Watcher::launch() const { return impl_->launch(); }
RankBoard& Watcher::board() { return impl_->board(); }
std::shared_ptr<LastActs> Watcher::last_acts() const { return impl_->last_acts(); }
void Watcher::read_settings() { impl_->read_settings(); }
void Watcher::begin_mpi() { impl_->begin_mpi(); }
void Watcher::joined(int rank, int size, int ranks_here) { impl_->joined(rank, size, ranks_here); }
std::string Watcher::connect(Communicator& world, int nodes) { return impl_->connect(world, nodes); }
StopRequest Watcher::stop_request() const { return impl_->stop_request(); }
std::vector<RankStatus> Watcher::ranks() const { return impl_->ranks(); }
void Watcher::rest(bool resting) { impl_->rest(resting); }
void Watcher::superseded() { impl_->superseded(); }
void Watcher::finished() { impl_->finished(); }
void Watcher::failed(bool others_may_be_lost) { impl_->failed(others_may_be_lost); }

}  // namespace gpas
