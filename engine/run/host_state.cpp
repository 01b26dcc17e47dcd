#include "engine/run/host_state.hpp"

#include "base/error.hpp"
#include "io/checkpoint/blocks.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <cstring>

namespace gpas {
namespace {

// The elements of a piece that this rank writes (Share::written) or reads (Share::wanted).
Range elements_of(const ParameterStore& store, const OwnedPiece& piece, Share share) {
    const ParameterSpec& spec = store.specs()[piece.parameter];
    if (share == Share::wanted) return piece.elements;
    const StoreShape& shape = store.shape();
    if (spec.copy || (spec.tensor_axis < 0 && shape.tensor_rank != 0)) return {};
    if (store.buckets()[store.bucket_of(piece.parameter)].sharded) return piece.elements;
    const Range part = shard_range(piece.elements.size(), shape.data_rank, shape.data_size);
    return {piece.elements.begin + part.begin, piece.elements.begin + part.end};
}

// touched: write to each page now, so that the first save does not wait for the kernel to map them.
std::shared_ptr<float> host_memory(std::int64_t elements, bool pinned, bool touched) {
    if (elements == 0) return nullptr;
    if (pinned)
        return {static_cast<float*>(cuda::allocate_pinned(elements * std::int64_t(sizeof(float)))),
                [](float* memory) { cuda::release_pinned(memory); }};
    std::shared_ptr<float> memory(new float[std::size_t(elements)], [](float* all) { delete[] all; });
    constexpr std::int64_t page_elements = 4096 / sizeof(float);
    for (std::int64_t i = 0; touched && i < elements; i += page_elements) memory.get()[i] = 0.0F;
    return memory;
}

}  // namespace

std::int64_t saved_bytes(const ParameterStore& store) {
    std::int64_t elements = 0;
    for (const OwnedPiece& piece : store.owned()) elements += elements_of(store, piece, Share::written).size();
    return (store.shape().training ? 3 : 1) * elements * std::int64_t(sizeof(float));
}

std::int64_t checkpoint_copy_bytes(const CheckpointConfig& config, std::int64_t saved_bytes) {
    constexpr double gibibyte = double(std::int64_t(1) << 30);
    return double(saved_bytes) <= config.buffer_gib * gibibyte ? saved_bytes : 0;
}

HostState::HostState(const RunConfig& config, Context& context, const ParameterStore& store, Share share, bool moments,
                     bool in_background)
    : config_(config),
      context_(context),
      store_(store),
      moments_(moments),
      copies_(in_background || !context.on_cpu()) {
    for (std::size_t i = 0; i < store.owned().size(); ++i) {
        const OwnedPiece& piece = store.owned()[i];
        const Range range = elements_of(store, piece, share);
        if (range.empty()) continue;
        add(i, range, "weights", piece.w);
        if (!moments) continue;
        add(i, range, "adam_m", piece.m);
        add(i, range, "adam_v", piece.v);
    }
    if (!copies_) {
        for (Copied& copied : all_) copied.here = stored_part(copied).as<float>();
        return;
    }
    const bool pinned = in_background && !context.on_cpu();
    const std::int64_t elements = context.on_cpu() ? lay_out_runs() : lay_out_pieces();
    memory_ = host_memory(elements, pinned, in_background);
    for (Copied& copied : all_) copied.here = memory_.get() + copied.at;
}

std::int64_t HostState::lay_out_pieces() {
    std::int64_t next = 0;
    for (Copied& copied : all_) {
        copied.at = next;
        next += copied.elements.size();
    }
    return next;
}

std::int64_t HostState::lay_out_runs() {
    constexpr std::int64_t largest_gap = 1024;  // elements; gaps from alignment are smaller
    std::ranges::sort(all_, {}, [&](const Copied& copied) { return stored_part(copied).as<float>(); });
    std::int64_t next = 0;
    for (Copied& copied : all_) {
        const float* there = stored_part(copied).as<float>();
        const float* end = runs_.empty() ? nullptr : runs_.back().there + runs_.back().elements;
        if (end == nullptr || there < end || there - end > largest_gap) runs_.push_back({.there = there, .here = next});
        Run& run = runs_.back();
        copied.at = run.here + (there - run.there);
        run.elements = there - run.there + copied.elements.size();
        next = run.here + run.elements;
    }
    return next;
}

void HostState::add(std::size_t piece, Range elements, const char* group, const Tensor& there) {
    all_.push_back({.piece = piece, .elements = elements, .group = group, .there = there});
}

std::vector<StateTensor> HostState::tensors() const {
    std::vector<StateTensor> tensors;
    for (const ParameterSpec& spec : parameter_specs(config_.model, config_.optimizer))
        for (const char* group : {"weights", "adam_m", "adam_v"})
            if (moments_ || std::string(group) == "weights")
                tensors.push_back({.name = fmt::format("{}/{}", group, spec.name), .global_shape = spec.shape});
    for (const Copied& copied : all_) {
        const std::size_t parameter = store_.owned()[copied.piece].parameter;
        const ParameterSpec& spec = store_.specs()[parameter];
        const ParameterSlab& slab = store_.slab(parameter);
        const StateTensor whole{.name = fmt::format("{}/{}", copied.group, spec.name),
                                .global_shape = spec.shape,
                                .start = slab.start,
                                .count = slab.count};
        float* data = copied.here;
        for (StateTensor part : split_range(whole, copied.elements.begin, copied.elements.end)) {
            part.data = data;
            data += element_count(part.count);
            tensors.push_back(part);
        }
    }
    return tensors;
}

// Waits for the weight gather first: in fp32 runs it reads and writes the masters.
void HostState::download() {
    store_.await_weights();
    if (!copies_) return;
    if (!context_.on_cpu())
        for (const Copied& copied : all_) download(copied);
    for (const Run& run : runs_)
        std::memcpy(memory_.get() + run.here, run.there, std::size_t(run.elements) * sizeof(float));
}

void HostState::upload() {
    store_.await_weights();
    if (!copies_) return;
    for (const Copied& copied : all_) upload(copied);
}

Tensor HostState::stored_part(const Copied& copied) const {
    const OwnedPiece& piece = store_.owned()[copied.piece];
    Range stored{-1, 0};
    for_each_stored_run(store_.slab(piece.parameter), copied.elements, [&](Range run, std::int64_t at) {
        if (stored.begin < 0) stored.begin = at - piece.stored;
        stored.end = at - piece.stored + run.size();
    });
    return copied.there.slice(stored.begin, stored.end);
}

void HostState::for_each_run(const Copied& copied,
                             const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& body) const {
    std::int64_t first = -1;
    for_each_stored_run(store_.slab(store_.owned()[copied.piece].parameter), copied.elements,
                        [&](Range run, std::int64_t at) {
                            if (first < 0) first = at;
                            body(run.begin - copied.elements.begin, at - first, run.size());
                        });
}

void HostState::download(const Copied& copied) {
    const Tensor there = stored_part(copied);
    const Tensor here(copied.here, Dtype::fp32, {copied.elements.size()});
    if (there.elements() == here.elements()) return copy(context_, here, there);
    stored_.resize(std::size_t(there.elements()));
    copy(context_, Tensor(stored_.data(), Dtype::fp32, {there.elements()}), there);
    for_each_run(copied, [&](std::int64_t element, std::int64_t at, std::int64_t count) {
        std::copy_n(stored_.data() + at, count, copied.here + element);
    });
}

void HostState::upload(const Copied& copied) {
    const Tensor there = stored_part(copied);
    const Tensor here(copied.here, Dtype::fp32, {copied.elements.size()});
    if (there.elements() == here.elements()) return copy(context_, there, here);
    stored_.assign(std::size_t(there.elements()), 0.0F);  // padding is zero
    for_each_run(copied, [&](std::int64_t element, std::int64_t at, std::int64_t count) {
        std::copy_n(copied.here + element, count, stored_.data() + at);
    });
    copy(context_, there, Tensor(stored_.data(), Dtype::fp32, {there.elements()}));
}

}  // namespace gpas
