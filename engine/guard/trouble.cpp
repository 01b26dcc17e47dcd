#include "engine/guard/trouble.hpp"

#include "base/error.hpp"
#include "engine/model/number_probe.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace gpas {
namespace {

// Position of a parameter within its layer, in the order in which forward reads parameters.
std::int64_t place_in_layer(const std::string& name) {
    static constexpr const char* order[] = {"attention.pre_norm.", "attention.qkv.",
                                            "attention.out.",      "attention.branch_norm.",
                                            "attention.sum_norm.", "attention.gate",
                                            "mlp.pre_norm.",       "mlp.gate_up.",
                                            "mlp.down.",           "mlp.branch_norm.",
                                            "mlp.sum_norm.",       "mlp.gate",
                                            "final_norm.",         "head."};
    for (std::size_t i = 0; i < std::size(order); ++i)
        if (name.find(order[i]) != std::string::npos) return std::int64_t(i) + 1;
    return 0;  // the embedding, or the gate of a layer with one gate
}

std::int64_t forward_place(const ParameterSpec& spec) { return (spec.layer + 1) * 16 + place_in_layer(spec.name); }

// Indices of all parameters in the order in which forward reads them.
std::vector<std::size_t> forward_order(const ParameterStore& store) {
    std::vector<std::size_t> order(store.specs().size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return forward_place(store.specs()[a]) < forward_place(store.specs()[b]);
    });
    return order;
}

std::string bad_master(Context& context, const ParameterStore& store, std::size_t i) {
    for (const OwnedPiece& piece : store.owned()) {
        if (piece.parameter != i) continue;
        std::string bad = bad_element_text(context, piece.w, piece.elements.begin);
        if (!bad.empty()) return bad;
    }
    return {};
}

std::string rank_text(int rank, MeshSize size, MeshOrder order) {
    if (size.tensor * size.pipeline == 1) return fmt::format("rank {}", rank);
    const MeshPlace place = place_of(rank, size, order);
    return fmt::format("rank {} (pipeline stage {}, tensor rank {}, data rank {})", rank, place.pipeline, place.tensor,
                       place.data);
}

}  // namespace

Trouble bad_weight(Context& context, const ParameterStore& store) {
    for (const std::size_t i : forward_order(store)) {
        const ParameterSpec& spec = store.specs()[i];
        std::string bad = bad_element_text(context, store.compute(i));
        if (bad.empty()) bad = bad_master(context, store, i);
        if (!bad.empty()) return {forward_place(spec), fmt::format("the weight {} is {}", spec.name, bad)};
    }
    return {};
}

Trouble bad_gradient(Context& context, const ParameterStore& store) {
    constexpr std::int64_t beyond_all = std::numeric_limits<std::int32_t>::max();
    std::vector<std::size_t> order = forward_order(store);
    std::reverse(order.begin(), order.end());
    for (const std::size_t i : order) {
        const ParameterSpec& spec = store.specs()[i];
        const std::string bad = bad_element_text(context, store.gradient(i));
        if (!bad.empty())
            return {beyond_all - forward_place(spec), fmt::format("the gradient of {} is {}", spec.name, bad)};
    }
    return {};
}

std::optional<FoundTrouble> first_of_all(Mesh& mesh, MeshOrder order, const Trouble& mine) {
    constexpr std::int64_t nothing = std::numeric_limits<std::int64_t>::max();
    const std::int64_t ranks = mesh.world->size();
    std::int64_t first = mine.place < 0 ? nothing : mine.place * ranks + mesh.world->rank();
    mesh.world->all_reduce(&first, 1, ReduceOp::min, "the first bad number");
    if (first == nothing) return std::nullopt;
    const int rank = int(first % ranks);
    std::string text = mine.text;
    broadcast(*mesh.world, text, rank, "the tensor with the first bad number");
    return FoundTrouble{rank, fmt::format("{}: {}", rank_text(rank, mesh.size, order), text)};
}

}  // namespace gpas
