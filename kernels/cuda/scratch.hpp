// Temporaries of one operation, from context.scratch().
#pragma once

#include "kernels/context.hpp"

#include <cstdint>
#include <vector>

namespace gpas::cuda {

// `count` uninitialised values of T, aligned to Arena::alignment_bytes, valid until the arena's scope ends.
template <class T>
T* scratch_array(Context& context, std::int64_t count) {
    const std::int64_t floats = (count * std::int64_t(sizeof(T)) + 3) / 4;
    return static_cast<T*>(context.scratch().allocate(Dtype::fp32, {floats}).data);
}

}  // namespace gpas::cuda
