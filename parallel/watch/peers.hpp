// The other ranks as a watcher sees them: those of its node by their boards and processes; over connections, all others
// on rank 0, and rank 0 on all others. Of one thread at a time.
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
    // stranger_seconds: for a connection to say who it is.
    Peers(std::string job_key, int rank, int size, double stranger_seconds = 5.0)
        : directory_(job_key), rank_(rank), ranks_here_(size), stranger_seconds_(stranger_seconds) {}

    const BoardDirectory& directory() const { return directory_; }
    // MPI is up and says who this rank is, and how many ranks are on its node.
    void know(int rank, int ranks_here);

    // --- beside this rank
    void find_neighbours();
    bool is_neighbour(int rank) const { return neighbours_.contains(rank); }
    // Whether no living neighbour outside `settled` has a lower rank.
    bool is_lowest_here(const std::set<int>& settled) const;
    void for_each_neighbour(const std::function<void(int rank, RankBoard&, const MappedBoard&)>& body);

    // --- connections
    void listen(std::unique_ptr<Listener> listener) { listener_ = std::move(listener); }
    void add_leader(Link link) { links_.emplace(0, std::move(link)); }
    // Everything that has come. What ranks say of themselves is kept, the rest goes to `take`.
    void receive(const std::function<void(int from, const Frame&)>& take);
    Link* link_to(int rank);  // nothing where there is none that is open
    void for_each_link(const std::function<void(int rank, Link&)>& body);

    // What to poll for; processes of `settled` are not looked at.
    std::vector<pollfd> events(const std::set<int>& settled) const;
    // All that are known, this rank (whose board that is) among them.
    std::map<int, WatchedRank> views(const RankBoard& own) const;
    // This rank itself has stood still: others only looked silent.
    void forgive();

private:
    struct Neighbour {
        MappedBoard board;
        Descriptor process;  // readable when it has ended; -1 where the kernel has none
    };
    struct Remote {
        RankStatus status;  // as it was told
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
    int ranks_here_;  // at most
    double stranger_seconds_;
    std::map<int, Neighbour> neighbours_;
    std::unique_ptr<Listener> listener_;
    struct Stranger {
        Link link;
        std::int64_t since_nanoseconds = 0;
    };
    std::vector<Stranger> unknown_;  // have not said who they are
    std::map<int, Link> links_;
    std::map<int, Remote> remotes_;
    std::int64_t forgiven_nanoseconds_ = 0;
};

}  // namespace gpas
