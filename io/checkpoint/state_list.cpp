#include "io/checkpoint/state_list.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/checkpoint/blocks.hpp"

#include <algorithm>
#include <map>

namespace gpas {
namespace {

void check_name(const std::string& name) {
    const std::size_t slash = name.find('/');
    const std::string group = name.substr(0, slash);
    const std::string tensor = slash == std::string::npos ? "" : name.substr(slash + 1);
    const bool group_known = std::ranges::find(state_groups, group) != std::end(state_groups);
    require(group_known && !tensor.empty() && tensor != "." && tensor != ".." &&
                tensor.find_first_of(std::string("/\n\0", 3)) == std::string::npos,
            "checkpoint: tensor name \"{}\" is not <weights|adam_m|adam_v>/<name without slashes>", name);
}

void check_slab(const StateTensor& part) {
    const std::size_t rank = part.global_shape.size();
    require(rank >= 1 && rank <= 8 && std::ranges::all_of(part.global_shape, [](auto dim) { return dim >= 1; }),
            "checkpoint: {}: global shape {} is not 1 to 8 dimensions of at least 1", part.name,
            shape_text(part.global_shape));
    if (is_empty(part)) return;
    bool inside = part.start.size() == rank && part.count.size() == rank;
    for (std::size_t i = 0; inside && i < rank; ++i)
        inside = part.start[i] >= 0 && part.count[i] >= 0 && part.start[i] + part.count[i] <= part.global_shape[i];
    require(inside, "checkpoint: {}: hyperslab {} + {} is not inside {}", part.name, shape_text(part.start),
            shape_text(part.count), shape_text(part.global_shape));
    require(part.data != nullptr || part.produce || element_count(part.count) == 0, "checkpoint: {}: no data",
            part.name);
}

}  // namespace

StateList make_state_list(std::span<const StateTensor> parts) {
    std::map<std::string, std::size_t> index;
    StateList list;
    for (const StateTensor& part : parts) {
        check_name(part.name);
        check_slab(part);
        index.emplace(part.name, 0);
    }
    for (auto& [name, position] : index) {
        position = list.tensors.size();
        list.tensors.push_back({name, {}});
    }
    for (const StateTensor& part : parts) {
        const std::size_t position = index[part.name];
        auto& shape = list.tensors[position].shape;
        require(shape.empty() || shape == part.global_shape, "checkpoint: {}: listed as {} and as {}", part.name,
                shape_text(shape), shape_text(part.global_shape));
        shape = part.global_shape;
        list.tensor_of.push_back(position);
    }
    list.first_block = first_blocks(list.tensors);
    return list;
}

void check_same_list(Communicator& group, const StateList& list) {
    std::string text;
    for (const TensorInfo& tensor : list.tensors) text += tensor.name + " " + shape_text(tensor.shape) + "\n";
    const std::int64_t hash = std::int64_t(hash_of(text) >> 1);
    std::int64_t extremes[2] = {hash, -hash};
    group.all_reduce(extremes, 2, ReduceOp::max, "checkpoint tensor list");
    require(extremes[0] == -extremes[1], "checkpoint: ranks disagree on the names or shapes of the tensors");
}

}  // namespace gpas
