#include "engine/model/parameters.hpp"

#include "kernels/ops.hpp"

#include <xxhash.h>

#include <algorithm>
#include <utility>

namespace gpas {
namespace {

constexpr std::int64_t alignment_elements = 64;

std::uint64_t stream_key(std::uint64_t seed, const std::string& name) {
    return XXH3_64bits_withSeed(name.data(), name.size(), seed);
}

// Fills with N(0, std²), where std depends on the index of axis 1.
void fill_by_axis1(Context& context, Tensor w, const ParameterSpec& spec, std::uint64_t key) {
    const std::int64_t slots = std::int64_t(spec.initialiser.std.size());
    require(spec.shape.size() >= 2 && spec.shape[1] == slots, "{}: {} standard deviations for axis 1", spec.name,
            slots);
    const std::int64_t slot_elements = spec.elements() / (spec.shape[0] * slots);
    const Tensor flat = w.view({spec.elements()});
    for (std::int64_t i = 0; i < spec.shape[0] * slots; ++i) {
        const std::int64_t first = i * slot_elements;
        const float std = float(spec.initialiser.std[std::size_t(i % slots)]);
        fill_normal(context, flat.slice(first, first + slot_elements), key, first, std);
    }
}

}  // namespace

ParameterStore::ParameterStore(std::vector<ParameterSpec> specs, Dtype compute_dtype, bool training, Arena& arena)
    : specs_(std::move(specs)), offsets_(specs_.size()), compute_dtype_(compute_dtype) {
    std::int64_t total = 0;
    for (std::size_t i = specs_.size(); i-- > 0;) {
        offsets_[i] = total;
        total += (specs_[i].elements() + alignment_elements - 1) / alignment_elements * alignment_elements;
    }
    w_ = arena.allocate(Dtype::fp32, {total});
    if (has_compute_copy()) compute_ = arena.allocate(compute_dtype, {total});
    if (!training) return;
    gradient_ = arena.allocate(Dtype::fp32, {total});
    m_ = arena.allocate(Dtype::fp32, {total});
    v_ = arena.allocate(Dtype::fp32, {total});
}

Tensor ParameterStore::part(const Tensor& buffer, std::size_t i) const {
    if (buffer.rank == 0) return {};
    const ParameterSpec& spec = specs_[i];
    const std::int64_t columns = spec.shape.back();
    Tensor view(buffer.data, buffer.dtype, {spec.elements() / columns, columns});
    if (buffer.data != nullptr)
        view.data = static_cast<char*>(buffer.data) + offsets_[i] * bytes_per_element(buffer.dtype);
    if (spec.shape.size() == 1) view = view.view({columns});
    return view;
}

bool ParameterStore::contains(const std::string& name) const {
    return std::any_of(specs_.begin(), specs_.end(), [&](const ParameterSpec& spec) { return spec.name == name; });
}

std::size_t ParameterStore::index_of(const std::string& name) const {
    for (std::size_t i = 0; i < specs_.size(); ++i)
        if (specs_[i].name == name) return i;
    fail(ExitCode::internal, "no parameter is called {}", name);
}

void initialise(Context& context, ParameterStore& store, std::uint64_t seed) {
    for (std::size_t i = 0; i < store.specs().size(); ++i) {
        const ParameterSpec& spec = store.specs()[i];
        const Tensor w = store.master(i);
        const std::uint64_t key = stream_key(seed, spec.name);
        switch (spec.initialiser.std.size()) {
            case 0: fill(context, w, float(spec.initialiser.constant)); break;
            case 1: fill_normal(context, w, key, 0, float(spec.initialiser.std[0])); break;
            default: fill_by_axis1(context, w, spec, key); break;
        }
    }
    refresh_compute_weights(context, store);
}

void refresh_compute_weights(Context& context, ParameterStore& store) {
    if (!store.has_compute_copy()) return;
    for (std::size_t i = 0; i < store.specs().size(); ++i) cast(context, store.compute(i), store.master(i));
}

}  // namespace gpas
