// Copies tokens to a GPU through pinned host memory, so that the copy does not wait for the GPU's current work.
#pragma once

#include "engine/model/model.hpp"
#include "kernels/cuda/gpu.hpp"

#include <memory>
#include <vector>

namespace gpas {

class TokenStaging {
public:
    // Allocates pinned memory for `slots` micro-batches of `tokens` tokens each. Error(environment) if that fails.
    TokenStaging(std::shared_ptr<cuda::Gpu> gpu, std::int64_t slots, std::int64_t tokens);
    ~TokenStaging();
    TokenStaging(const TokenStaging&) = delete;
    TokenStaging& operator=(const TokenStaging&) = delete;

    // room [3, tokens] int32 on the GPU = tokens, labels and segment_begin of `rows` (absent ones are skipped). Each
    // has at most `tokens` elements. Returns views of `room`. The copy is enqueued; the caller may change `rows` after
    // the return. Waits only if the previous load of this slot has not arrived on the GPU.
    TokenRows load(std::int64_t slot, Tensor room, const TokenRows& rows);

private:
    std::shared_ptr<cuda::Gpu> gpu_;
    std::int64_t slots_, tokens_;
    std::int32_t* memory_;                              // [slots, 3, tokens]
    std::vector<std::unique_ptr<cuda::Mark>> arrived_;  // of each slot; made at its first use
};

}  // namespace gpas
