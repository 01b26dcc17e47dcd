// The caller's list of tensors, checked and sorted into the order of the file. Internal to io/checkpoint.
#pragma once

#include "io/checkpoint/contents.hpp"

namespace gpas {

struct StateList {
    std::vector<TensorInfo> tensors;        // unique, sorted by name
    std::vector<std::int64_t> first_block;  // as in Contents
    std::vector<std::size_t> tensor_of;     // for each entry of the caller's list, its index in `tensors`
};

inline bool is_empty(const StateTensor& part) { return part.count.empty(); }

// Error(internal) if a name, shape or hyperslab is invalid. Not collective.
StateList make_state_list(std::span<const StateTensor> parts);
// Error(internal) if ranks disagree on names or shapes. Collective.
void check_same_list(Communicator& group, const StateList& list);

}  // namespace gpas
