#include "engine/step/token_staging.hpp"

#include "base/error.hpp"

#include <cstring>
#include <utility>

namespace gpas {

TokenStaging::TokenStaging(std::shared_ptr<cuda::Gpu> gpu, std::int64_t slots, std::int64_t tokens)
    : gpu_(std::move(gpu)),
      slots_(slots),
      tokens_(tokens),
      memory_(
          static_cast<std::int32_t*>(cuda::allocate_pinned(slots * 3 * tokens * std::int64_t(sizeof(std::int32_t))))),
      arrived_(std::size_t(slots)) {}

TokenStaging::~TokenStaging() {
    for (const auto& mark : arrived_)
        if (mark && !mark->reached()) return;  // the GPU may still read the memory, which leaks: the process is ending
    cuda::release_pinned(memory_);
}

TokenRows TokenStaging::load(std::int64_t slot, Tensor room, const TokenRows& rows) {
    require(slot < slots_, "micro-batch {} of {} whose tokens have room", slot, slots_);
    auto& arrived = arrived_[std::size_t(slot)];
    if (!arrived) arrived = std::make_unique<cuda::Mark>(gpu_);
    arrived->wait();
    const auto load = [&](const Tensor& from, std::int64_t row) {
        if (!from) return Tensor{};
        require(from.elements() <= tokens_, "{} tokens for a room of {}", from.elements(), tokens_);
        const Tensor to = room.slice(row, row + 1).first({from.elements()});
        std::int32_t* here = memory_ + (slot * 3 + row) * tokens_;
        std::memcpy(here, from.data, std::size_t(from.bytes()));
        gpu_->copy_from_pinned(to.data, here, to.bytes());
        return to;
    };
    const TokenRows there{
        .tokens = load(rows.tokens, 0), .labels = load(rows.labels, 1), .segment_begin = load(rows.segment_begin, 2)};
    arrived->set();
    return there;
}

}  // namespace gpas
