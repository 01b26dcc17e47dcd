// A parameter is declared once. Initialisation, memory, gradients, the optimizer and checkpoints derive from this list.
#pragma once

#include "io/config/run_config.hpp"
#include "kernels/arena.hpp"
#include "kernels/context.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

enum class ParameterKind { matrix, embedding, norm, gate };

struct Initialiser {
    double constant = 0.0;  // every element, where `std` is empty
    std::vector<double>
        std;  // N(0, std²): one for all, or one for each index of axis 1 (qkv: query heads…, key, value)
};

struct ParameterSpec {
    std::string name;                 // "layers.3.attention.qkv.weight"
    std::vector<std::int64_t> shape;  // global and unpadded, row-major
    ParameterKind kind = ParameterKind::matrix;
    int tensor_axis = -1;    // sliced over tensor-parallel ranks along this axis; -1: every rank has it whole
    std::int64_t layer = 0;  // -1: before the first layer; layers: after the last
    bool trainable = true;
    bool decayed = false;  // weight decay applies
    Initialiser initialiser;

    std::int64_t elements() const;
};

// Linear weights [out, in]. Packed weights have more axes, so that tensor-parallel slices and initialisation follow
// from the shape alone: attention.qkv [kv_heads, heads/kv_heads + 2, head_dim, hidden] (per KV group: its query heads,
// key, value), mlp.gate_up [2, ffn, hidden]. In the order of the forward pass.
std::vector<ParameterSpec> parameter_specs(const ModelConfig& model, const OptimizerConfig& optimizer);

std::int64_t heads_of_kv(const ModelConfig& model);  // kv_heads, or heads where that is 0
std::int64_t head_dim(const ModelConfig& model);     // head_dim, or hidden_size / heads where that is 0
std::int64_t parameter_count(const ModelConfig& model);

// All parameters of this rank in contiguous buffers, in the order in which backward finishes their gradients (the last
// layer first), each aligned to 64 elements; padding stays zero. fp32: masters (w), gradients, Adam moments. In bf16
// runs `compute` is what the forward pass reads; in fp32 runs that is w itself.
class ParameterStore {
public:
    // training: with gradients and moments. Every buffer comes from `arena` (a measuring one plans).
    ParameterStore(std::vector<ParameterSpec> specs, Dtype compute_dtype, bool training, Arena& arena);

    const std::vector<ParameterSpec>& specs() const { return specs_; }
    std::size_t index_of(const std::string& name) const;  // Error(internal) when there is none
    bool contains(const std::string& name) const;

    // Views of one parameter (absent without training: gradient and moments) in the shape of its spec seen as a matrix
    // [elements / last axis, last axis].
    Tensor master(std::size_t i) const { return part(w_, i); }
    Tensor gradient(std::size_t i) const { return part(gradient_, i); }
    Tensor adam_m(std::size_t i) const { return part(m_, i); }
    Tensor adam_v(std::size_t i) const { return part(v_, i); }
    Tensor compute(std::size_t i) const { return part(has_compute_copy() ? compute_ : w_, i); }
    bool has_compute_copy() const { return compute_dtype_ != Dtype::fp32; }

    Tensor all_gradients() const { return gradient_; }

private:
    Tensor part(const Tensor& buffer, std::size_t i) const;

    std::vector<ParameterSpec> specs_;
    std::vector<std::int64_t> offsets_;
    Dtype compute_dtype_;
    Tensor w_, gradient_, m_, v_, compute_;
};

// w = the initial weights of (seed, parameter name, global element index): the same on every layout; moments 0.
void initialise(Context& context, ParameterStore& store, std::uint64_t seed);
// compute = w, where they differ (after initialise, and after a checkpoint was loaded)
void refresh_compute_weights(Context& context, ParameterStore& store);

}  // namespace gpas
