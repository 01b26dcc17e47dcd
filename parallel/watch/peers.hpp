// What a watcher knows about the other ranks. It sees the ranks of its node (neighbours) through their boards and
// processes. It sees ranks of other nodes through connections: rank 0 is connected to all other ranks. Not thread-safe:
// the watcher guards it with a mutex.
#pragma once

#include "base/descriptor.hpp"
#include "parallel/watch/board_file.hpp"
#include "parallel/watch/finding.hpp"
#include "parallel/watch/link.hpp"

#include <poll.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace gpas {

class Peers {
public:
    // size: the number of ranks, an upper limit of those on this node until know() is called. stranger_seconds: a new
    // connection is closed if no hello arrives within this time.
    Peers(std::string job_key, int rank, int size, double stranger_seconds = 5.0)
        : directory_(job_key), rank_(rank), ranks_here_(size), stranger_seconds_(stranger_seconds) {}

    const BoardDirectory& directory() const { return directory_; }
    // Sets this rank and the number of ranks on its node, which are known after MPI_Init.
    void know(int rank, int ranks_here);

    // --- ranks of this node
    // Maps the boards that have appeared since the last call.
    void find_neighbours();
    bool is_neighbour(int rank) const { return neighbours_.contains(rank); }
    // Whether this rank is the lowest of its node, apart from ranks in `settled` and ranks whose process has ended.
    bool is_lowest_here(const std::set<int>& settled) const;
    void for_each_neighbour(const std::function<void(int rank, RankBoard&, const MappedBoard&)>& body);

    // --- connections
    void listen(std::unique_ptr<Listener> listener) { listener_ = std::move(listener); }
    void add_leader(Link link) { links_.emplace(0, std::move(link)); }
    // Accepts connections and reads all frames that have arrived. Keeps hello, status and goodbye; passes others to
    // take().
    void receive(const std::function<void(int from, const Frame&)>& take);
    Link* link_to(int rank);  // null if there is no open connection
    void for_each_link(const std::function<void(int rank, Link&)>& body);

    // Descriptors for poll(): connections, and processes of neighbours that are not in `settled`.
    std::vector<pollfd> events(const std::set<int>& settled) const;
    // All ranks that are known, including this one. own: this rank's board.
    std::map<int, WatchedRank> views(const RankBoard& own) const;
    // Restarts silent_seconds of all ranks. Used if this process itself was stopped for a while: the other ranks then
    // only appear silent.
    void forgive();

private:
    struct Neighbour {
        MappedBoard board;
        Descriptor process;  // pidfd: readable when the process has ended; -1 if the kernel lacks pidfd_open
    };
    struct Remote {
        RankStatus status;  // as the rank sent it
        std::int64_t heard_nanoseconds = 0;
        bool gone = false;
        bool goodbye = false;
    };
    static bool has_ended(const Neighbour& neighbour);
    void accept();
    void hear_strangers(const std::function<void(int from, const Frame&)>& take);
    void heard(const RankStatus& told);
    void hear(int from, const Frame& frame, const std::function<void(int from, const Frame&)>& take);

    BoardDirectory directory_;
    int rank_;
    int ranks_here_;  // upper limit
    double stranger_seconds_;
    std::map<int, Neighbour> neighbours_;
    std::unique_ptr<Listener> listener_;
    struct Stranger {
        Link link;
        std::int64_t since_nanoseconds = 0;
    };
    std::vector<Stranger> unknown_;  // connections without a hello so far
    std::map<int, Link> links_;
    std::map<int, Remote> remotes_;
    std::int64_t forgiven_nanoseconds_ = 0;
};

}  // namespace gpas
