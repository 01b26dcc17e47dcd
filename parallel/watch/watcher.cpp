#include "parallel/watch/watcher.hpp"

#include "kernels/error.hpp"
#include "parallel/watch/board_file.hpp"
#include "parallel/watch/failure_report.hpp"
#include "parallel/watch/link.hpp"
#include "parallel/watch/stack_trace.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace gpas {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double stack_seconds = 0.3;      // for a thread to answer
constexpr double details_seconds = 1.0;    // for other nodes to send theirs
constexpr double settle_seconds = 0.05;    // for what else is lost by the same cause
constexpr double hearsay_seconds = 0.4;    // for those who know better than a connection does
constexpr double gathering_seconds = 5.0;  // in which the ranks of a node come
constexpr double leader_seconds = 3.0;     // for rank 0 to end the job

double seconds_since(std::int64_t nanoseconds) { return double(monotonic_nanoseconds() - nanoseconds) * 1e-9; }

double wall_clock() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

class Descriptor {
public:
    explicit Descriptor(int value = -1) : value_(value) {}
    Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    ~Descriptor() {
        if (value_ >= 0) close(value_);
    }
    int get() const { return value_; }

private:
    int value_;
};

// A rank of this node.
struct Neighbour {
    MappedBoard board;
    Descriptor process;  // readable when it has ended; -1 where the kernel has none
};

// A rank as its own watcher tells it.
struct Remote {
    RankStatus status;
    std::int64_t heard_nanoseconds = 0;
    bool gone = false;
    bool goodbye = false;
};

sigset_t stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaddset(&set, signal);
    return set;
}

// For atexit(): whether the process may go, or has a watcher that is about to end it with a report.
std::atomic<bool> concluding = false;
std::atomic<pid_t> watching = 0;  // this process; none; the one that this has been forked from

void let_the_watcher_report() {
    // A launcher's message that others are lost may come before the watcher's own.
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
          directory_(launch.job_key),
          rank_(launch.rank),
          size_(launch.size),
          started_(wall_clock()) {
        directory_.remove_leftovers();
        board_ = directory_.make(rank_, &note_);
        open_board(*board_, rank_, size_);
        stacks_.emplace(*board_);
        const double silent = settings_.limits.silent_seconds;
        beat_seconds_ = silent > 0.0 ? std::min(1.0, silent / 4.0) : 1.0;
        wake_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (settings_.takes_signals) {
            const sigset_t set = stop_signals();
            pthread_sigmask(SIG_BLOCK, &set, nullptr);
            signals_ = Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
        }
        // exit() of this process: handlers run in the reverse order, so this one before what notes the exit.
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
    StopRequest stop_request() const { return stop_; }

    void joined(int rank, int size) {
        stacks_->watch_crashes();
        const std::lock_guard lock(mutex_);
        size_ = size;
        board_->size = size;
        if (rank == rank_) return;
        // The launcher has not told: a board under the right name.
        rank_ = rank;
        board_->rank = rank;
    }

    std::string connect(Communicator& world, int nodes) {
        std::string point;
        std::string why;
        std::int64_t connected = 1;
        if (world.rank() == 0) {
            auto listener = std::make_unique<Listener>(nodes == 1);
            point = text_of(listener->point());
            const std::lock_guard lock(mutex_);
            listener_ = std::move(listener);
        }
        wake();
        broadcast(world, point, 0, "where rank 0's watcher is");
        if (world.rank() != 0) {
            auto link = connect_to(meeting_point_of(point), 3.0, &why);
            connected = link ? 1 : 0;
            if (link) {
                link->send(Message::hello, status());
                const std::lock_guard lock(mutex_);
                links_.emplace(0, std::move(*link));
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
        for (const auto& [rank, view] : views()) all.push_back(view.status);
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
        if (others_may_be_lost) let_the_watcher_report();
        board_->state = RankState::failed;
        watching = 0;
    }

private:
    // --- the thread

    void start_thread() {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this] { watch(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void wake() {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
    }

    void watch() {
        std::int64_t last_beat = 0;
        while (!over_) {
            wait_for_events(std::clamp(beat_seconds_ - seconds_since(last_beat), 0.0, longest_pause()));
            take_signals();
            if (resting_) {
                last_beat = monotonic_nanoseconds();
                continue;
            }
            const std::lock_guard lock(mutex_);
            accept_links();
            read_links();
            if (seconds_since(board_->made_nanoseconds) < gathering_seconds) find_neighbours();
            if (seconds_since(last_beat) >= beat_seconds_) {
                // A node that stood still as a whole has made all look silent.
                if (last_beat != 0 && seconds_since(last_beat) > 3.0 * beat_seconds_) forgive();
                last_beat = monotonic_nanoseconds();
                beat();
            }
            look();
        }
        const std::lock_guard lock(mutex_);
        for (auto& [rank, link] : links_) link.send(Message::goodbye);
    }

    // At first ranks come one by one.
    double longest_pause() const {
        const bool soon = seconds_since(board_->made_nanoseconds) < gathering_seconds || concluding;
        return soon ? 0.1 : beat_seconds_;
    }

    void wait_for_events(double seconds) {
        std::vector<pollfd> events{{wake_.get(), POLLIN, 0}};
        if (signals_.get() >= 0) events.push_back({signals_.get(), POLLIN, 0});
        {
            const std::lock_guard lock(mutex_);
            if (listener_) events.push_back({listener_->descriptor(), POLLIN, 0});
            for (const Link& link : unknown_) events.push_back({link.descriptor(), POLLIN, 0});
            for (const auto& [rank, link] : links_) {
                const int wanted = POLLIN | (link.wants_to_write() ? POLLOUT : 0);
                if (!link.closed()) events.push_back({link.descriptor(), short(wanted), 0});
            }
            for (const auto& [rank, neighbour] : neighbours_)
                if (neighbour.process.get() >= 0 && !settled_.contains(rank))
                    events.push_back({neighbour.process.get(), POLLIN, 0});
        }
        poll(events.data(), events.size(), int(seconds * 1000) + 1);
        std::uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t came = read(wake_.get(), &ignored, sizeof ignored);
    }

    void take_signals() {
        signalfd_siginfo info;
        while (signals_.get() >= 0 && read(signals_.get(), &info, sizeof info) == ssize_t(sizeof info)) {
            if (info.ssi_signo == unsigned(SIGINT)) {
                if (stop_ == StopRequest::stop) {
                    std::fprintf(stderr, "gpas: rank %d: interrupted twice, ends now\n", rank_);
                    _exit(int(ExitCode::interrupted));
                }
                stop_ = StopRequest::stop;
            } else if (stop_ == StopRequest::none) {
                stop_ = StopRequest::unfinished;
            }
        }
    }

    void beat() {
        board_->heartbeat_nanoseconds = monotonic_nanoseconds();
        find_neighbours();
        const RankStatus mine = status();
        for (auto& [rank, link] : links_) link.send(Message::status, mine);
    }

    void forgive() {
        const std::int64_t now = monotonic_nanoseconds();
        forgiven_nanoseconds_ = now;
        for (auto& [rank, remote] : remotes_) remote.heard_nanoseconds = now;
    }

    RankStatus status() const { return read_status(*board_, monotonic_nanoseconds()); }

    void find_neighbours() {
        if (std::ssize(neighbours_) + 1 >= size_) return;
        std::map<int, MappedBoard> boards;
        for (auto& [rank, neighbour] : neighbours_) boards.emplace(rank, MappedBoard());
        directory_.find_others(rank_, boards);
        for (auto& [rank, board] : boards) {
            if (!board) continue;
            Neighbour neighbour{std::move(board), Descriptor()};
            neighbour.process = Descriptor(int(syscall(SYS_pidfd_open, neighbour.board->pid, 0)));
            neighbours_.emplace(rank, std::move(neighbour));
        }
    }

    // --- other nodes

    void accept_links() {
        while (listener_) {
            std::optional<Link> link = listener_->accept();
            if (!link) break;
            unknown_.push_back(std::move(*link));
        }
        // Whoever says hello is known by its rank from then on.
        std::vector<Link> still_unknown;
        for (Link& link : unknown_) {
            const std::vector<Frame> frames = link.receive();
            std::optional<RankStatus> hello;
            if (!frames.empty() && frames[0].message == Message::hello) hello = frames[0].as<RankStatus>();
            if (hello) {
                heard(*hello);
                const int rank = hello->rank;
                links_.emplace(rank, std::move(link));
                for (std::size_t i = 1; i < frames.size(); ++i) take(rank, frames[i]);
            } else if (!link.closed()) {
                still_unknown.push_back(std::move(link));
            }
        }
        unknown_.clear();
        for (Link& link : still_unknown) unknown_.push_back(std::move(link));
    }

    void read_links() {
        for (auto& [rank, link] : links_) {
            link.flush();
            for (const Frame& frame : link.receive()) take(rank, frame);
            if (link.closed()) remotes_[rank].gone = true;
        }
    }

    void heard(const RankStatus& told) {
        Remote& remote = remotes_[told.rank];
        remote.status = told;
        remote.heard_nanoseconds = monotonic_nanoseconds();
    }

    void take(int from, const Frame& frame) {
        switch (frame.message) {
            case Message::hello:
            case Message::status:
                if (const auto told = frame.as<RankStatus>()) heard(*told);
                break;
            case Message::finding:
                if (const auto finding = frame.as<Finding>()) add(*finding);
                break;
            case Message::collect:
                concluding = true;
                if (leads_node())
                    for (const std::string& text : details_of_node()) links_.at(from).send(Message::details, text);
                links_.at(from).send(Message::details);  // that was all
                break;
            case Message::details:
                if (frame.payload.empty())
                    ++nodes_answered_;
                else
                    details_.push_back(frame.payload);
                break;
            case Message::end: end_process();
            case Message::goodbye:
                remotes_[from].goodbye = true;
                remotes_[from].status.state = RankState::finished;
                break;
        }
    }

    // --- judging

    std::map<int, WatchedRank> views() const {
        const std::int64_t now = monotonic_nanoseconds();
        std::map<int, WatchedRank> all;
        for (const auto& [rank, remote] : remotes_) {
            WatchedRank view{.status = remote.status, .local = false, .gone = remote.gone && !remote.goodbye};
            view.status.rank = rank;
            const double silent = double(now - remote.heard_nanoseconds) * 1e-9;
            view.status.silent_seconds += silent;
            if (view.status.call[0] != '\0') view.status.still_seconds += silent;
            all[rank] = view;
        }
        for (const auto& [rank, neighbour] : neighbours_) {
            WatchedRank view{.status = read_status(*neighbour.board, now), .local = true, .gone = has_ended(neighbour)};
            view.status.silent_seconds =
                std::min(view.status.silent_seconds, double(now - forgiven_nanoseconds_) * 1e-9);
            all[rank] = view;
        }
        all[rank_] = {.status = read_status(*board_, now), .local = true, .gone = false};
        all[rank_].status.silent_seconds = 0.0;
        return all;
    }

    static bool has_ended(const Neighbour& neighbour) {
        if (neighbour.process.get() < 0)
            return process_start_ticks(neighbour.board->pid) != neighbour.board->process_start;
        pollfd ended{neighbour.process.get(), POLLIN, 0};
        return poll(&ended, 1, 0) > 0;
    }

    void look() {
        if (board_->ended) end_process();
        if (board_->state == RankState::failed) return;  // it tells itself why the job ends
        for (const auto& [rank, view] : views()) {
            if (const auto loss = judge(view, settings_.limits))
                add({.how = *loss, .last = view.status, .seen_by = rank_});
            else if (view.gone)
                settled_.emplace(rank, Finding{});
        }
        if (launched_ && getppid() != parent_) add({.how = Loss::orphaned, .last = status(), .seen_by = rank_});
        if (superseded_) add({.how = Loss::superseded, .last = status(), .seen_by = rank_});
        if (findings_.empty() || over_) return;
        concluding = true;
        if (!noticed_nanoseconds_) noticed_nanoseconds_ = monotonic_nanoseconds();
        const bool late = seconds_since(*noticed_nanoseconds_) > leader_seconds;
        if (rank_ != 0 && can_reach_leader()) tell_leader();
        // Without rank 0, the lowest rank of each node.
        if (rank_ == 0 || late || (!can_reach_leader() && leads_node())) conclude();
    }

    void add(const Finding& finding) {
        const auto known = settled_.find(finding.last.rank);
        const bool better = known == settled_.end() || (is_hearsay(known->second.how) && !is_hearsay(finding.how));
        if (!better) return;
        // What is seen from beside a rank says more than a closed connection.
        std::erase_if(findings_, [&](const Finding& other) { return other.last.rank == finding.last.rank; });
        settled_[finding.last.rank] = finding;
        findings_.push_back(finding);
    }

    bool can_reach_leader() const {
        if (rank_ == 0) return true;
        const auto link = links_.find(0);
        if (link == links_.end() || link->second.closed()) return false;
        return !settled_.contains(0);  // not itself lost
    }

    void tell_leader() {
        Link& link = links_.at(0);
        for (std::size_t i = told_; i < findings_.size(); ++i) link.send(Message::finding, findings_[i]);
        told_ = findings_.size();
    }

    // --- the end

    // The lowest rank that is well speaks for a node.
    bool leads_node() const {
        for (const auto& [rank, neighbour] : neighbours_)
            if (rank < rank_ && !settled_.contains(rank) && !has_ended(neighbour)) return false;
        return true;
    }

    std::vector<std::string> details_of_node() {
        std::vector<std::pair<int, RankBoard*>> boards{{rank_, &*board_}};
        for (auto& [rank, neighbour] : neighbours_) boards.emplace_back(rank, &*neighbour.board);
        std::sort(boards.begin(), boards.end());
        std::vector<std::string> details;
        for (auto& [rank, board] : boards) {
            const bool lost = settled_.contains(rank);
            const bool answered = ask_for_stack(*board, lost, stack_seconds);
            details.push_back(rank_details(*board, answered));
            if (lost && rank != rank_ && process_start_ticks(board->pid) == board->process_start)
                kill(board->pid, SIGKILL);  // it would stay behind when the others have left
        }
        return details;
    }

    // Nothing below may hold the process up: the report's directory may hang too.
    void conclude() {
        std::thread([] {
            std::this_thread::sleep_for(std::chrono::seconds(10));
            _exit(int(ExitCode::rank_lost));
        }).detach();
        // Who sees the lost rank from beside goes first.
        if (rank_ != 0 && !seen_from_beside()) pause_for(0.5);
        const Clock::time_point start = Clock::now();
        const auto all_hearsay = [&] {
            return std::all_of(findings_.begin(), findings_.end(),
                               [](const Finding& finding) { return is_hearsay(finding.how); });
        };
        while (Clock::now() - start < std::chrono::duration<double>(all_hearsay() ? hearsay_seconds : settle_seconds)) {
            gather();
            pause_for(0.01);
        }
        Failure failure{.findings = findings_, .size = size_, .reporter = rank_, .job = job_name()};
        for (const auto& [rank, view] : views()) failure.ranks.push_back(view.status);
        for (RankStatus& rank : failure.ranks)
            for (const Finding& finding : findings_)
                if (finding.last.rank == rank.rank) rank = finding.last;

        ReportFile report(settings_.directory, launch_.job_key, started_);
        report.append((report.is_first() ? "Failure of a gpas job: " : "\nAlso seen: ") + report_text(failure));
        const std::string where = report.path().empty() ? "" : fmt::format("; report: {}", report.path().string());
        if (report.is_first() || report.path().empty())
            std::fprintf(stderr, "gpas: error: %s%s\n", headline(failure).c_str(), where.c_str());

        nodes_answered_ = 0;
        std::int64_t asked = 0;
        for (auto& [rank, link] : links_) {
            if (rank_ != 0 || link.closed() || settled_.contains(rank)) continue;
            link.send(Message::collect);
            ++asked;
        }
        for (const std::string& text : details_of_node()) report.append(text);
        const Clock::time_point collecting = Clock::now();
        while (nodes_answered_ < asked && Clock::now() - collecting < std::chrono::duration<double>(details_seconds)) {
            gather();
            pause_for(0.01);
        }
        for (const std::string& text : details_) report.append(text);
        if (rank_ == 0)
            for (auto& [rank, link] : links_) link.send(Message::end);
        for (auto& [rank, neighbour] : neighbours_) neighbour.board->ended = true;
        pause_for(0.05);  // for the frames to leave
        end_process();
    }

    bool seen_from_beside() const {
        return std::any_of(findings_.begin(), findings_.end(),
                           [&](const Finding& finding) { return neighbours_.contains(finding.last.rank); });
    }

    void gather() {
        read_links();
        for (const auto& [rank, view] : views())
            if (const auto loss = judge(view, settings_.limits))
                add({.how = *loss, .last = view.status, .seen_by = rank_});
    }

    static void pause_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

    std::string job_name() const {
        return launch_.job_id.empty() ? launch_.job_key
                                      : fmt::format("{} (start {})", launch_.job_id, launch_.attempt + 1);
    }

    [[noreturn]] void end_process() {
        board_->state = RankState::failed;
        std::fflush(stderr);
        unlink(board_.file().c_str());
        for (const auto& [rank, neighbour] : neighbours_)
            if (settled_.contains(rank)) unlink(neighbour.board.file().c_str());
        _exit(int(ExitCode::rank_lost));
    }

    Launch launch_;
    WatchSettings settings_;
    BoardDirectory directory_;
    int rank_;
    int size_;
    bool launched_ = size_ > 1;  // by a launcher, which ends what it has started
    pid_t parent_ = getppid();
    double started_;  // seconds since 1970
    std::string note_;
    MappedBoard board_;
    std::optional<StackAnswers> stacks_;
    double beat_seconds_ = 1.0;
    Descriptor wake_;
    Descriptor signals_;
    std::atomic<StopRequest> stop_ = StopRequest::none;
    std::atomic<bool> over_ = false;
    std::atomic<bool> superseded_ = false;
    std::atomic<bool> resting_ = false;

    mutable std::mutex mutex_;  // of what follows
    std::unique_ptr<Listener> listener_;
    std::vector<Link> unknown_;
    std::map<int, Link> links_;  // rank 0: to all others; else: to rank 0
    std::map<int, Remote> remotes_;
    std::map<int, Neighbour> neighbours_;
    std::int64_t forgiven_nanoseconds_ = 0;
    std::vector<Finding> findings_;
    std::map<int, Finding> settled_;  // ranks that are not looked at any more: lost, or ended in order
    std::size_t told_ = 0;
    std::optional<std::int64_t> noticed_nanoseconds_;  // when the first was
    std::int64_t nodes_answered_ = 0;
    std::vector<std::string> details_;
    std::thread thread_;  // last: it uses all of the above
};

Watcher::Watcher(const Launch& launch, const WatchSettings& settings)
    : impl_(std::make_unique<Impl>(launch, settings)) {}
Watcher::~Watcher() = default;
const Launch& Watcher::launch() const { return impl_->launch(); }
RankBoard& Watcher::board() { return impl_->board(); }
void Watcher::joined(int rank, int size) { impl_->joined(rank, size); }
std::string Watcher::connect(Communicator& world, int nodes) { return impl_->connect(world, nodes); }
StopRequest Watcher::stop_request() const { return impl_->stop_request(); }
std::vector<RankStatus> Watcher::ranks() const { return impl_->ranks(); }
void Watcher::rest(bool resting) { impl_->rest(resting); }
void Watcher::superseded() { impl_->superseded(); }
void Watcher::finished() { impl_->finished(); }
void Watcher::failed(bool others_may_be_lost) { impl_->failed(others_may_be_lost); }

}  // namespace gpas
