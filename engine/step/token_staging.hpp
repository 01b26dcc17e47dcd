// Tokens on their way to a GPU, in pinned memory of the host: loading them does not wait for what the GPU is doing.
#pragma once

#include "engine/model/model.hpp"
#include "kernels/cuda/gpu.hpp"

#include <memory>
#include <vector>

namespace gpas {

class TokenStaging {
public:
    // Room for `slots` micro-batches of `tokens` tokens. Error(environment) when pinned memory is short.
    TokenStaging(std::shared_ptr<cuda::Gpu> gpu, std::int64_t slots, std::int64_t tokens);
    ~TokenStaging();
    TokenStaging(const TokenStaging&) = delete;
    TokenStaging& operator=(const TokenStaging&) = delete;

    // room [3, tokens] int32 on the GPU = tokens, labels and segment_begin, those that are there; returns views of it.
    // `rows` may be touched again when this returns. Waits only if the last load of this slot has not arrived.
    TokenRows load(std::int64_t slot, Tensor room, const TokenRows& rows);

private:
    std::shared_ptr<cuda::Gpu> gpu_;
    std::int64_t slots_, tokens_;
    std::int32_t* memory_;                              // [slots, 3, tokens]
    std::vector<std::unique_ptr<cuda::Mark>> arrived_;  // of each slot; made at its first use
};

}  // namespace gpas
