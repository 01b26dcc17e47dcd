#include "parallel/watch/watcher.hpp"

#include "base/masked_signals.hpp"
#include "parallel/watch/detection.hpp"
#include "parallel/watch/exit_delay.hpp"
#include "parallel/watch/job_end.hpp"
#include "parallel/watch/stack_trace.hpp"
#include "parallel/watch/watch_state.hpp"

#include <fmt/format.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace gpas {
namespace {

constexpr double gathering_seconds = 5.0;  // after the start: look often for ranks of this node that start later

}  // namespace

class Watcher::Impl {
public:
    Impl(const Launch& launch, const WatchSettings& settings)
        : signals_(settings.takes_signals), state_(launch, settings), stacks_(*state_.board) {
        set_beat();
        wake_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        // Handlers of exit() run in reverse order: this one runs before that of StackAnswers, which records the exit.
        exit_delay::set_watched(true);
        const MaskedSignals masked;
        thread_ = std::thread([this] { watch(); });
    }

    ~Impl() {
        finished();
        over_ = true;
        wake();
        thread_.join();
        exit_delay::set_watched(false);
    }

    const Launch& launch() const { return state_.launch; }
    RankBoard& board() { return *state_.board; }
    std::shared_ptr<LastActs> last_acts() const { return last_acts_; }
    StopRequest stop_request() const { return signals_.request(); }

    void read_settings() {
        WatchSettings settings = state_.settings;
        if (settings.read) settings.read(settings);
        const std::lock_guard lock(mutex_);
        state_.settings = settings;
        set_beat();
        state_.settings_read = true;
        board().moved_nanoseconds = monotonic_nanoseconds();
    }

    void begin_mpi() {
        init_call_ = CallLog(board()).begin("", "MPI_Init", "all ranks", "");
        RankProgress(board()).wait(init_call_);
    }

    void joined(int rank, int size, int ranks_here) {
        stacks_.watch_crashes();
        if (init_call_ > 0) {
            RankProgress(board()).waited();
            CallLog(board()).end(init_call_);
        }
        const std::lock_guard lock(mutex_);
        state_.joined = true;
        state_.rank = rank;
        state_.size = size;
        board().rank = rank;
        board().size = size;
        state_.peers.know(rank, ranks_here);
    }

    std::string connect(Communicator& world, int nodes) {
        std::string point;
        if (world.rank() == 0) point = listen(nodes);
        wake();
        broadcast(world, point, 0, "where rank 0's watcher is");
        std::string why;
        const std::int64_t connected = world.rank() == 0 || connect_to_leader(point, &why) ? 1 : 0;
        wake();
        std::int64_t least[2] = {connected, connected ? world.size() : world.rank()};
        world.all_reduce(least, 2, ReduceOp::min, "whether watchers are connected");
        if (least[0] == 1) return state_.note;
        broadcast(world, why, int(least[1]), "why a watcher is not connected");
        return fmt::format(
            "rank {} cannot connect to rank 0's watcher ({}): the loss of a rank of another node is detected only after "
            "parallel.timeout_seconds",
            least[1], why);
    }

    std::vector<RankStatus> ranks() const {
        const std::lock_guard lock(mutex_);
        std::vector<RankStatus> all;
        for (const auto& [rank, view] : state_.peers.views(*state_.board)) all.push_back(view.status);
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
        if (board().state == RankState::running) board().state = RankState::finished;
        board().phase = Phase::end;
        wake();
    }

    void failed(bool others_may_be_lost) {
        if (others_may_be_lost) {
            wake();  // the thread checks the boards and frames at once
            exit_delay::wait_for_report();
        }
        board().state = RankState::failed;
        exit_delay::set_watched(false);
    }

private:
    void set_beat() {
        const double silent = state_.settings.limits.silent_seconds;
        beat_seconds_ = silent > 0.0 ? std::min(1.0, silent / 4.0) : 1.0;
    }

    // Returns the address, as text, at which rank 0's watcher accepts connections from now on.
    std::string listen(int nodes) {
        auto listener = std::make_unique<Listener>(nodes == 1);
        const std::string point = text_of(listener->point());
        const std::lock_guard lock(mutex_);
        state_.peers.listen(std::move(listener));
        return point;
    }

    bool connect_to_leader(const std::string& point, std::string* why) {
        auto link = connect_to(meeting_point_of(point), 3.0, why);
        if (!link) return false;
        link->send(Message::hello, state_.status());
        const std::lock_guard lock(mutex_);
        state_.peers.add_leader(std::move(*link));
        return true;
    }

    void wake() {
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
    }

    // --- the thread

    void watch() {
        std::int64_t last_beat = 0;
        while (!over_) {
            wait_for_events(std::clamp(beat_seconds_ - seconds_since(last_beat), 0.0, longest_pause()));
            signals_.receive(board().rank);
            if (resting_) {
                last_beat = monotonic_nanoseconds();
                continue;
            }
            const std::lock_guard lock(mutex_);
            receive();
            if (seconds_since(board().made_nanoseconds) < gathering_seconds) state_.peers.find_neighbours();
            if (seconds_since(last_beat) >= beat_seconds_) {
                // This thread itself was late. Probably the whole node was frozen, and all ranks only appear silent.
                if (last_beat != 0 && seconds_since(last_beat) > 3.0 * beat_seconds_) state_.peers.forgive();
                last_beat = monotonic_nanoseconds();
                beat();
            }
            look();
        }
        const std::lock_guard lock(mutex_);
        state_.peers.for_each_link([](int, Link& link) { link.send(Message::goodbye); });
    }

    // Short at first, because ranks start one after the other, and while the job is ending.
    double longest_pause() {
        const bool soon = seconds_since(board().made_nanoseconds) < gathering_seconds || exit_delay::is_ending_job();
        return soon ? 0.1 : beat_seconds_.load();
    }

    void wait_for_events(double seconds) {
        std::vector<pollfd> events{{wake_.get(), POLLIN, 0}};
        if (signals_.descriptor() >= 0) events.push_back({signals_.descriptor(), POLLIN, 0});
        {
            const std::lock_guard lock(mutex_);
            const std::vector<pollfd> others = state_.peers.events(state_.findings.settled());
            events.insert(events.end(), others.begin(), others.end());
        }
        poll(events.data(), events.size(), int(seconds * 1000) + 1);
        std::uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t came = read(wake_.get(), &ignored, sizeof ignored);
    }

    void beat() {
        board().heartbeat_nanoseconds = monotonic_nanoseconds();
        state_.peers.find_neighbours();
        const RankStatus mine = state_.status();
        state_.peers.for_each_link([&](int, Link& link) { link.send(Message::status, mine); });
    }

    void receive() {
        state_.peers.receive([this](int from, const Frame& frame) { take(from, frame); });
    }

    void take(int from, const Frame& frame) {
        switch (frame.message) {
            case Message::finding:
                if (const auto finding = frame.as<Finding>()) state_.findings.add(*finding);
                break;
            case Message::collect:
                exit_delay::set_ending_job();
                end_.send_details(from);
                break;
            case Message::details: end_.take_details(frame.payload); break;
            case Message::end: end_.end_process();
            default: break;
        }
    }

    void look() {
        if (board().ended) end_.end_process();
        if (board().state == RankState::failed) return;  // the rank prints its own error and ends the job
        detect_lost_ranks(state_);
        detect_hanging_start(state_);
        detect_lost_gpu(state_);
        detect_lost_launcher(state_);
        if (superseded_) state_.findings.add(state_.own_finding(Loss::superseded));
        if (state_.findings.empty() || over_) return;
        exit_delay::set_ending_job();
        if (Link* leader = link_to_leader(state_)) state_.findings.send_new(*leader);
        if (end_.is_up_to_this_rank()) end_.run([this] { receive(); });
    }

    StopSignals signals_;
    Descriptor wake_;
    std::int64_t init_call_ = 0;
    std::atomic<double> beat_seconds_ = 1.0;
    std::atomic<bool> over_ = false;
    std::atomic<bool> superseded_ = false;
    std::atomic<bool> resting_ = false;
    std::shared_ptr<LastActs> last_acts_ = std::make_shared<LastActs>();

    mutable std::mutex mutex_;  // guards state_ and end_
    WatchState state_;
    StackAnswers stacks_;
    JobEnd end_{state_, last_acts_};
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
