#include "engine/model/parameters.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/checkpoint/blocks.hpp"
#include "kernels/ops.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace gpas {
namespace {

constexpr std::int64_t alignment_elements = 64;

std::uint64_t stream_key(std::uint64_t seed, const std::string& name) { return hash_of(name, seed); }

// Stored size of a rank's share of a dimension, padding included. With padding it is the same on every tensor rank.
std::int64_t padded_share(std::int64_t dim, const StoreShape& shape) {
    if (shape.ffn_multiple == 1) return shard_range(dim, shape.tensor_rank, shape.tensor_size).size();
    return round_up(shard_size(dim, shape.tensor_size), shape.ffn_multiple);
}

ParameterSlab slab_of(const ParameterSpec& spec, const StoreShape& shape) {
    ParameterSlab slab{.start = std::vector<std::int64_t>(spec.shape.size(), 0), .count = spec.shape};
    if (spec.tensor_axis >= 0) {
        const std::size_t axis = std::size_t(spec.tensor_axis);
        const Range range = shard_range(spec.shape[axis], shape.tensor_rank, shape.tensor_size);
        slab.start[axis] = range.begin;
        slab.count[axis] = range.size();
    }
    slab.elements = element_count(slab.count);
    slab.group = slab.stored_group = slab.elements;
    slab.stored_columns = slab.count.back();
    if (spec.padded) {
        const std::size_t axis = std::size_t(spec.tensor_axis);
        const std::int64_t inner = element_count(std::span(slab.count).subspan(axis + 1));
        const std::int64_t padded = padded_share(spec.shape[axis], shape);
        slab.group = slab.count[axis] * inner;
        slab.stored_group = padded * inner;
        if (axis + 1 == slab.count.size()) slab.stored_columns = padded;
    }
    slab.stored_elements = slab.elements / slab.group * slab.stored_group;
    return slab;
}

// Elements reserved for a parameter: those of the largest slab of any tensor-parallel rank, so that offsets are the
// same on all tensor-parallel ranks.
std::int64_t room_of(const ParameterSpec& spec, const StoreShape& shape) {
    std::vector<std::int64_t> count = spec.shape;
    if (spec.tensor_axis >= 0) {
        std::int64_t& dim = count[std::size_t(spec.tensor_axis)];
        dim = shard_size(dim, shape.tensor_size);
        if (spec.padded) dim = round_up(dim, shape.ffn_multiple);
    }
    return round_up(element_count(count), alignment_elements);
}

// w [n] = initial values of elements [flat, flat + n) of the global tensor.
void fill_run(Context& context, Tensor w, const ParameterSpec& spec, std::uint64_t key, std::int64_t flat) {
    const std::vector<double>& stddev = spec.initialiser.stddev;
    if (stddev.empty()) return fill(context, w, float(spec.initialiser.constant));
    if (stddev.size() == 1) return fill_normal(context, w, key, flat, float(stddev[0]));
    const std::int64_t slots = std::int64_t(stddev.size());
    require(spec.shape.size() >= 2 && spec.shape[1] == slots, "{}: {} standard deviations for axis 1", spec.name,
            slots);
    const std::int64_t slot_elements = spec.elements() / (spec.shape[0] * slots);
    for (std::int64_t done = 0; done < w.elements();) {
        const std::int64_t slot = (flat + done) / slot_elements;
        const std::int64_t end = std::min(w.elements(), (slot + 1) * slot_elements - flat);
        fill_normal(context, w.slice(done, end), key, flat + done, float(stddev[std::size_t(slot % slots)]));
        done = end;
    }
}

void initialise_piece(Context& context, const ParameterStore& store, const OwnedPiece& piece, std::uint64_t seed) {
    const ParameterSpec& spec = store.specs()[piece.parameter];
    const ParameterSlab& slab = store.slab(piece.parameter);
    const std::uint64_t key = stream_key(seed, spec.name);
    for_each_run(spec.shape, slab.start, slab.count, [&](std::int64_t flat, std::int64_t offset, std::int64_t n) {
        const Range wanted = overlap({offset, offset + n}, piece.elements);
        for_each_stored_run(slab, wanted, [&](Range run, std::int64_t stored) {
            const std::int64_t begin = stored - piece.stored;
            fill_run(context, piece.w.slice(begin, begin + run.size()), spec, key, flat + run.begin - offset);
        });
    });
}

}  // namespace

Range ParameterSlab::elements_stored_in(Range stored) const {
    const auto element_at = [&](std::int64_t place) {  // in a gap: the first element after it
        return place / stored_group * group + std::min(place % stored_group, group);
    };
    return {element_at(stored.begin), element_at(stored.end)};
}

void for_each_stored_run(const ParameterSlab& slab, Range elements,
                         const std::function<void(Range elements, std::int64_t stored)>& body) {
    for (std::int64_t begin = elements.begin; begin < elements.end;) {
        const std::int64_t which = begin / slab.group;
        const std::int64_t end = std::min((which + 1) * slab.group, elements.end);
        body({begin, end}, which * slab.stored_group + begin % slab.group);
        begin = end;
    }
}

ParameterStore::ParameterStore(std::vector<ParameterSpec> specs, const StoreShape& shape, Arena& arena)
    : specs_(std::move(specs)), shape_(shape), bucket_of_(specs_.size()) {
    for (const ParameterSpec& spec : specs_) slabs_.push_back(slab_of(spec, shape_));
    lay_out();
    allocate(arena);
    list_owned();
}

std::int64_t ParameterStore::close_bucket(std::int64_t begin, std::int64_t end, bool sharded) {
    if (begin == end) return end;
    sharded = sharded && owned_only();
    if (sharded) end = begin + round_up(end - begin, alignment_elements * shape_.data_size);
    GradientBucket bucket{
        .elements = {begin, end}, .owned = {begin, end}, .owned_offset = owned_total_, .sharded = sharded};
    if (sharded) {
        const Range share = shard_range(end - begin, shape_.data_rank, shape_.data_size);
        bucket.owned = {begin + share.begin, begin + share.end};
    }
    owned_total_ += bucket.owned.size();
    buckets_.push_back(bucket);
    return end;
}

void ParameterStore::lay_out() {
    enum class Group { ordinary, tied, gates };
    const auto group_of = [](const ParameterSpec& spec) {
        if (spec.kind == ParameterKind::gate) return Group::gates;
        return spec.shared ? Group::tied : Group::ordinary;
    };
    std::int64_t begin = 0;
    for (const Group group : {Group::ordinary, Group::tied, Group::gates}) {
        std::int64_t end = begin;
        for (std::size_t i = specs_.size(); i-- > 0;) {
            if (group_of(specs_[i]) != group) continue;
            slabs_[i].offset = end;
            bucket_of_[i] = buckets_.size();
            end += room_of(specs_[i], shape_);
            const bool full = shape_.bucket_elements > 0 && end - begin >= shape_.bucket_elements;
            if (full) begin = end = close_bucket(begin, end, group != Group::gates);
        }
        begin = close_bucket(begin, end, group != Group::gates);
    }
    total_ = begin;
}

void ParameterStore::allocate(Arena& arena) {
    w_ = arena.allocate(Dtype::fp32, {keeps_whole_master() ? total_ : owned_total_});
    if (has_compute_copy()) compute_ = arena.allocate(shape_.compute_dtype, {total_});
    if (!shape_.training) return;
    gradient_ = arena.allocate(Dtype::fp32, {total_});
    m_ = arena.allocate(Dtype::fp32, {owned_total_});
    v_ = arena.allocate(Dtype::fp32, {owned_total_});
}

void ParameterStore::list_owned() {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
        const GradientBucket& bucket = buckets_[bucket_of_[i]];
        const ParameterSlab& slab = slabs_[i];
        const Range flat = overlap({slab.offset, slab.offset + slab.stored_elements}, bucket.owned);
        if (flat.empty()) continue;
        const std::int64_t compact = bucket.owned_offset + flat.begin - bucket.owned.begin;
        const auto whole = [&](const Tensor& buffer) {
            return buffer.rank == 0 ? Tensor{} : buffer.slice(flat.begin, flat.end);
        };
        const auto owned = [&](const Tensor& buffer) {
            return buffer.rank == 0 ? Tensor{} : buffer.slice(compact, compact + flat.size());
        };
        const bool on_one_tensor_rank = specs_[i].tensor_axis >= 0 || shape_.tensor_rank == 0;
        const bool on_one_data_rank = bucket.sharded || shape_.data_rank == 0;
        owned_.push_back({.parameter = i,
                          .elements = slab.elements_stored_in({flat.begin - slab.offset, flat.end - slab.offset}),
                          .stored = flat.begin - slab.offset,
                          .counted = on_one_tensor_rank && on_one_data_rank && !specs_[i].copy,
                          .w = keeps_whole_master() ? whole(w_) : owned(w_),
                          .gradient = whole(gradient_),
                          .m = owned(m_),
                          .v = owned(v_),
                          .compute = whole(compute_)});
    }
}

Tensor ParameterStore::part(const Tensor& buffer, std::size_t i) const {
    if (buffer.rank == 0) return {};
    const ParameterSlab& slab = slabs_[i];
    const Tensor flat = buffer.slice(slab.offset, slab.offset + slab.stored_elements);
    if (slab.count.size() == 1) return flat;
    return flat.view({slab.stored_elements / slab.stored_columns, slab.stored_columns});
}

Tensor ParameterStore::owned_part(const Tensor& buffer, std::size_t i) const {
    if (buffer.rank == 0) return {};
    const GradientBucket& bucket = buckets_[bucket_of_[i]];
    require(!bucket.sharded, "{}: this rank has a share of the optimizer state only", specs_[i].name);
    const ParameterSlab& slab = slabs_[i];
    const std::int64_t begin = bucket.owned_offset + slab.offset - bucket.elements.begin;
    const Tensor flat = buffer.slice(begin, begin + slab.stored_elements);
    if (slab.count.size() == 1) return flat;
    return flat.view({slab.stored_elements / slab.stored_columns, slab.stored_columns});
}

Tensor ParameterStore::master(std::size_t i) const {
    gather_.wait(bucket_of_[i]);  // in fp32 runs the masters are the compute weights
    return keeps_whole_master() ? part(w_, i) : owned_part(w_, i);
}
Tensor ParameterStore::adam_m(std::size_t i) const { return owned_part(m_, i); }
Tensor ParameterStore::adam_v(std::size_t i) const { return owned_part(v_, i); }

void ParameterStore::await_layer(std::int64_t layer) const {
    if (!gather_.under_way()) return;
    for (std::size_t i = 0; i < specs_.size(); ++i)
        if (specs_[i].layer == layer) gather_.wait(bucket_of_[i]);
    gather_.poll();
}

bool ParameterStore::contains(const std::string& name) const {
    return std::any_of(specs_.begin(), specs_.end(), [&](const ParameterSpec& spec) { return spec.name == name; });
}

std::size_t ParameterStore::index_of(const std::string& name) const {
    for (std::size_t i = 0; i < specs_.size(); ++i)
        if (specs_[i].name == name) return i;
    fail(ExitCode::internal, "no parameter is called {}", name);
}

void initialise(Context& context, ParameterStore& store, std::uint64_t seed, Communicator& data) {
    for (const OwnedPiece& piece : store.owned()) initialise_piece(context, store, piece, seed);
    publish_weights(context, store, data);
}

void publish_weights(Context& context, ParameterStore& store, Communicator& data) {
    store.await_weights();
    for (const OwnedPiece& piece : store.owned())
        if (piece.compute) cast(context, piece.compute, piece.w);
    gather_owned(data, store.all_compute_weights(), store.buckets());
}

}  // namespace gpas
