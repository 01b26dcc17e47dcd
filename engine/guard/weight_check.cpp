#include "engine/guard/weight_check.hpp"

#include "base/error.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <map>

namespace gpas {
namespace {

using Fingerprints = std::vector<std::uint64_t>;

bool state_is_alike(const ParameterStore& store) {
    return store.shape().training && (!store.shape().sharded_optimizer || store.shape().data_size == 1);
}

// Fingerprint of the tensors of parameter i that data-parallel ranks replicate.
std::uint64_t fingerprint_of(Context& context, const ParameterStore& store, std::size_t i) {
    std::uint64_t print = fingerprint(context, store.compute(i));
    if (state_is_alike(store)) {
        if (store.has_compute_copy()) print = 3 * print + fingerprint(context, store.master(i));
        print = 3 * print + fingerprint(context, store.adam_m(i));
        print = 3 * print + fingerprint(context, store.adam_v(i));
    }
    return print;
}

// All-gather of `mine` in rank order, by one all-reduce: each element is nonzero on one rank only.
Fingerprints gather(Communicator& world, const Fingerprints& mine) {
    std::vector<std::int64_t> all(mine.size() * std::size_t(world.size()), 0);
    for (std::size_t i = 0; i < mine.size(); ++i)
        all[mine.size() * std::size_t(world.rank()) + i] = std::int64_t(mine[i] >> 1);  // int64 holds 63 of the bits
    world.all_reduce(all.data(), std::int64_t(all.size()), ReduceOp::sum, "fingerprints of weights");
    return Fingerprints(all.begin(), all.end());
}

// Ranks with equal keys hold copies of the same weights.
std::vector<std::vector<int>> replicas(const Mesh& mesh, MeshOrder order, bool of_data) {
    std::map<std::pair<int, int>, std::vector<int>> groups;
    for (int rank = 0; rank < mesh.world->size(); ++rank) {
        const MeshPlace place = place_of(rank, mesh.size, order);
        groups[{place.pipeline, of_data ? place.tensor : place.data}].push_back(rank);
    }
    std::vector<std::vector<int>> all;
    for (auto& [key, ranks] : groups) all.push_back(std::move(ranks));
    return all;
}

// The ranks outside the majority; all ranks if there is no majority; empty if all agree.
std::vector<int> odd_ones(const std::vector<int>& ranks, const Fingerprints& fingerprints, std::size_t stride,
                          std::size_t at) {
    std::map<std::uint64_t, std::vector<int>> by_print;
    for (const int rank : ranks) by_print[fingerprints[std::size_t(rank) * stride + at]].push_back(rank);
    if (by_print.size() == 1) return {};
    const auto largest = std::max_element(by_print.begin(), by_print.end(), [](const auto& a, const auto& b) {
        return a.second.size() < b.second.size();
    });
    if (2 * largest->second.size() <= ranks.size()) return ranks;
    std::vector<int> odd;
    for (const auto& [print, group] : by_print)
        if (print != largest->first) odd.insert(odd.end(), group.begin(), group.end());
    std::sort(odd.begin(), odd.end());
    return odd;
}

// "rank 2 (on n3)", "ranks 0 (on n1), 1 (on n2)", the first eight of them. Collective.
std::string ranks_on_hosts(Communicator& world, const std::vector<int>& ranks) {
    constexpr std::size_t most = 8;
    std::vector<std::string> texts;
    for (const int rank :
         std::vector<int>(ranks.begin(), ranks.begin() + std::ptrdiff_t(std::min(most, ranks.size())))) {
        std::string host = world.board().host;
        broadcast(world, host, rank, "a host name");
        texts.push_back(host.empty() ? fmt::format("{}", rank) : fmt::format("{} (on {})", rank, host));
    }
    if (ranks.size() > most) texts.push_back(fmt::format("{} more", ranks.size() - most));
    return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(texts, ", "));
}

}  // namespace

std::optional<WeightDifference> compare_replicas(Context& context, const ParameterStore& store, Mesh& mesh,
                                                 MeshOrder order) {
    if (mesh.world->size() == 1) return std::nullopt;
    // [0]: state that data-parallel ranks replicate; [1]: parameters that tensor-parallel ranks replicate.
    const std::size_t count = store.specs().size();
    Fingerprints each(count);
    Fingerprints whole(2, 0);
    for (std::size_t i = 0; i < count; ++i) {
        each[i] = fingerprint_of(context, store, i);
        whole[0] = 31 * whole[0] + each[i];
        if (store.specs()[i].tensor_axis < 0) whole[1] = 31 * whole[1] + fingerprint(context, store.compute(i));
    }
    const Fingerprints all = gather(*mesh.world, whole);
    for (const bool of_data : {true, false})
        for (const std::vector<int>& group : replicas(mesh, order, of_data)) {
            std::vector<int> odd = odd_ones(group, all, 2, of_data ? 0 : 1);
            if (odd.empty()) continue;
            // A differing rank (`suspect`) finds the parameter: it compares its fingerprints with those of a rank of
            // the majority (`reference`), which broadcasts them to the world.
            const auto other = std::find_if(group.begin(), group.end(), [&](int rank) {
                return std::find(odd.begin(), odd.end(), rank) == odd.end();
            });
            const int reference = other == group.end() ? group.front() : *other;
            const int suspect = odd.front() == reference ? odd.back() : odd.front();
            std::int64_t most = std::int64_t(count);
            mesh.world->all_reduce(&most, 1, ReduceOp::max, "number of parameters");
            Fingerprints theirs(std::size_t(most), 0);
            if (mesh.world->rank() == reference) std::copy(each.begin(), each.end(), theirs.begin());
            mesh.world->broadcast(theirs.data(), most * std::int64_t(sizeof(std::uint64_t)), reference,
                                  "fingerprints of parameters");
            std::string name;
            for (std::size_t i = 0; i < count && name.empty(); ++i)
                if (each[i] != theirs[i] && (of_data || store.specs()[i].tensor_axis < 0)) name = store.specs()[i].name;
            broadcast(*mesh.world, name, suspect, "the parameter that differs");
            const bool tie = odd.size() == group.size();
            return WeightDifference{
                odd, fmt::format("{} of {} {} {}", name.empty() ? "the state" : name, ranks_on_hosts(*mesh.world, odd),
                                 odd.size() == 1 ? "differs from" : "differ from",
                                 tie ? "each other, though they are replicas"
                                     : fmt::format("{} other replica(s)", group.size() - odd.size()))};
        }
    return std::nullopt;
}

}  // namespace gpas
