#include "tests/virtual_gpu/board.hpp"

#include "tests/virtual_gpu/shared_file.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace gpas::virtual_gpu {
namespace {

constexpr int most_ranks = 64;
constexpr double fresh_seconds = 5.0;

struct Slot {
    bool used;
    BoardEntry entry;
};
struct Slots {
    Slot ranks[most_ranks];
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Slots& slots() {
    static SharedFile file(job_name() + "_board", sizeof(Slots));
    return *static_cast<Slots*>(file.data());
}

std::mutex& board_mutex() {
    static std::mutex mutex;
    return mutex;
}

// A host (operation -1) or an operation of a rank.
struct Node {
    int rank = 0;
    int operation = -1;
    auto operator<=>(const Node&) const = default;
};

class Search {
public:
    explicit Search(const Slots& slots) : slots_(slots) {}

    std::string ring() {
        for (int rank = 0; rank < most_ranks; ++rank) {
            if (!fresh(rank)) continue;
            for (int i = -1; i < entry(rank).count; ++i) {
                const std::string found = follow({rank, i});
                if (!found.empty()) return found;
            }
        }
        return {};
    }

private:
    bool fresh(int rank) const {
        return slots_.ranks[rank].used && now() - slots_.ranks[rank].entry.seconds_of_entry < fresh_seconds;
    }
    const BoardEntry& entry(int rank) const { return slots_.ranks[rank].entry; }

    std::string text(Node node) const {
        const BoardEntry& at = entry(node.rank);
        if (node.operation < 0) return "rank " + std::to_string(node.rank) + ": the host is in " + at.host_call;
        const BoardOperation& operation = at.operations[node.operation];
        return "rank " + std::to_string(node.rank) + ": " + operation.name +
               (operation.running != 0 ? " runs" : std::string(" stands ") + operation.why);
    }

    std::vector<Node> next(Node node) const {
        std::vector<Node> nodes;
        const BoardEntry& at = entry(node.rank);
        if (node.operation < 0) {
            if (at.host_behind >= 0) nodes.push_back({node.rank, at.host_behind});
            for (int rank = 0; rank < most_ranks; ++rank)
                if ((at.host_waits_for >> rank & 1U) != 0 && fresh(rank)) nodes.push_back({rank, -1});
            return nodes;
        }
        const BoardOperation& operation = at.operations[node.operation];
        if (operation.running == 0) {
            if (operation.behind >= 0) nodes.push_back({node.rank, operation.behind});
            return nodes;
        }
        for (int rank = 0; rank < most_ranks; ++rank)
            if ((operation.waits_for >> rank & 1U) != 0 && fresh(rank))
                nodes.push_back(counterpart(rank, operation.key));
        return nodes;
    }

    Node counterpart(int rank, BoardKey key) const {
        for (int i = 0; i < entry(rank).count; ++i)
            if (entry(rank).operations[i].key == key) return {rank, i};
        return {rank, -1};  // its host has not called it
    }

    std::string follow(Node node) {
        for (std::size_t i = 0; i < path_.size(); ++i)
            if (path_[i] == node) {
                std::string found;
                for (std::size_t k = i; k < path_.size(); ++k) found += "\n  " + text(path_[k]) + ", which waits for";
                return found + "\n  the first";
            }
        if (!seen_.insert(node).second) return {};
        path_.push_back(node);
        for (const Node each : next(node)) {
            const std::string found = follow(each);
            if (!found.empty()) return found;
        }
        path_.pop_back();
        return {};
    }

    const Slots& slots_;
    std::vector<Node> path_;
    std::set<Node> seen_;
};

}  // namespace

int job_rank(int otherwise) {
    const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
    return rank != nullptr ? std::atoi(rank) : otherwise;
}

void publish(int rank, const BoardEntry& entry) {
    const std::lock_guard lock(board_mutex());
    Slot& slot = slots().ranks[rank % most_ranks];
    slot.entry = entry;
    slot.entry.seconds_of_entry = now();
    slot.used = true;
}

void forget(int rank) {
    const std::lock_guard lock(board_mutex());
    slots().ranks[rank % most_ranks].used = false;
}

std::string deadlock() {
    const std::lock_guard lock(board_mutex());
    const auto copy = std::make_unique<Slots>(slots());
    return Search(*copy).ring();
}

}  // namespace gpas::virtual_gpu
