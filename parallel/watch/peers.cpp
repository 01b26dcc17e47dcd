#include "parallel/watch/peers.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace gpas {
namespace {

constexpr std::size_t most_strangers = 4096;  // more than the number of ranks that connect at the same moment

}  // namespace

void Peers::know(int rank, int ranks_here) {
    rank_ = rank;
    ranks_here_ = ranks_here;
}

void Peers::find_neighbours() {
    if (std::ssize(neighbours_) + 1 >= ranks_here_) return;
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

bool Peers::has_ended(const Neighbour& neighbour) {
    if (neighbour.process.get() < 0) return process_start_ticks(neighbour.board->pid) != neighbour.board->process_start;
    pollfd ended{neighbour.process.get(), POLLIN, 0};
    return poll(&ended, 1, 0) > 0;
}

bool Peers::is_lowest_here(const std::set<int>& settled) const {
    return std::none_of(neighbours_.begin(), neighbours_.end(), [&](const auto& entry) {
        return entry.first < rank_ && !settled.contains(entry.first) && !has_ended(entry.second);
    });
}

void Peers::for_each_neighbour(const std::function<void(int, RankBoard&, const MappedBoard&)>& body) {
    for (auto& [rank, neighbour] : neighbours_) body(rank, *neighbour.board, neighbour.board);
}

void Peers::accept() {
    while (listener_) {
        std::optional<Link> link = listener_->accept();
        if (!link) break;
        if (unknown_.size() < most_strangers) unknown_.push_back({std::move(*link), monotonic_nanoseconds()});
    }
}

void Peers::heard(const RankStatus& told) {
    Remote& remote = remotes_[told.rank];
    remote.status = told;
    remote.heard_nanoseconds = monotonic_nanoseconds();
}

void Peers::hear(int from, const Frame& frame, const std::function<void(int, const Frame&)>& take) {
    switch (frame.message) {
        case Message::hello:
        case Message::status:
            if (const auto told = frame.as<RankStatus>()) heard(*told);
            break;
        case Message::goodbye:
            remotes_[from].goodbye = true;
            remotes_[from].status.state = RankState::finished;
            break;
        default: take(from, frame);
    }
}

void Peers::hear_strangers(const std::function<void(int, const Frame&)>& take) {
    std::vector<Stranger> still_unknown;
    for (Stranger& stranger : unknown_) {
        const std::vector<Frame> frames = stranger.link.receive();
        const auto hello = !frames.empty() && frames[0].message == Message::hello ? frames[0].as<RankStatus>()
                                                                                  : std::optional<RankStatus>();
        const double seconds = double(monotonic_nanoseconds() - stranger.since_nanoseconds) * 1e-9;
        if (hello) {
            links_.emplace(hello->rank, std::move(stranger.link));
            for (const Frame& frame : frames) hear(hello->rank, frame, take);
        } else if (!stranger.link.closed() && seconds < stranger_seconds_) {
            still_unknown.push_back(std::move(stranger));
        }
    }
    unknown_.swap(still_unknown);
}

void Peers::receive(const std::function<void(int, const Frame&)>& take) {
    accept();
    hear_strangers(take);
    for (auto& [rank, link] : links_) {
        link.flush();
        for (const Frame& frame : link.receive()) hear(rank, frame, take);
        if (link.closed()) remotes_[rank].gone = true;
    }
}

Link* Peers::link_to(int rank) {
    const auto found = links_.find(rank);
    return found == links_.end() || found->second.closed() ? nullptr : &found->second;
}

void Peers::for_each_link(const std::function<void(int, Link&)>& body) {
    for (auto& [rank, link] : links_)
        if (!link.closed()) body(rank, link);
}

std::vector<pollfd> Peers::events(const std::set<int>& settled) const {
    std::vector<pollfd> events;
    if (listener_) events.push_back({listener_->descriptor(), POLLIN, 0});
    for (const Stranger& stranger : unknown_) events.push_back({stranger.link.descriptor(), POLLIN, 0});
    for (const auto& [rank, link] : links_)
        if (!link.closed())
            events.push_back({link.descriptor(), short(link.wants_to_write() ? POLLIN | POLLOUT : POLLIN), 0});
    for (const auto& [rank, neighbour] : neighbours_)
        if (neighbour.process.get() >= 0 && !settled.contains(rank))
            events.push_back({neighbour.process.get(), POLLIN, 0});
    return events;
}

std::map<int, WatchedRank> Peers::views(const RankBoard& own) const {
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
        view.status.silent_seconds = std::min(view.status.silent_seconds, double(now - forgiven_nanoseconds_) * 1e-9);
        all[rank] = view;
    }
    all[rank_] = {.status = read_status(own, now), .local = true, .gone = false};
    all[rank_].status.silent_seconds = 0.0;
    return all;
}

void Peers::forgive() {
    forgiven_nanoseconds_ = monotonic_nanoseconds();
    for (auto& [rank, remote] : remotes_) remote.heard_nanoseconds = forgiven_nanoseconds_;
}

}  // namespace gpas
