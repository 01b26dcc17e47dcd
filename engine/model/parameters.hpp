// A parameter is declared once. Initialisation, memory, gradients, the optimizer and checkpoints derive from this list.
#pragma once

#include "io/config/run_config.hpp"
#include "kernels/arena.hpp"
#include "kernels/context.hpp"
#include "parallel/gradient_buckets.hpp"
#include "parallel/weight_gather.hpp"

#include <cstdint>
#include <functional>
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
    bool shared = false;   // a tied embedding of which another pipeline stage has a copy: both get the sum of gradients
    bool padded = false;   // a rank's share of tensor_axis is stored with zeros up to StoreShape::ffn_multiple
    bool copy = false;     // that second copy, on the last stage: updated alike, counted and saved once
    Initialiser initialiser;

    std::int64_t elements() const;
};

// A contiguous part of the model: what one chunk of a pipeline stage computes.
struct ModelPart {
    Range layers;
    bool embedding = true;  // turns tokens into the stream
    bool head = true;       // ends in final norm, LM head and loss
};
ModelPart whole_model(const ModelConfig& model);

// Linear weights [out, in]. Packed weights have more axes, so that tensor-parallel slices and initialisation follow
// from the shape alone: attention.qkv [kv_heads, heads/kv_heads + 2, head_dim, hidden] (per KV group: its query heads,
// key, value), mlp.gate_up [2, ffn, hidden]. In the order of the forward pass.
std::vector<ParameterSpec> parameter_specs(const ModelConfig& model, const OptimizerConfig& optimizer);
// Those of some parts of the model, in the order of the forward pass.
std::vector<ParameterSpec> parameter_specs(const ModelConfig& model, const OptimizerConfig& optimizer,
                                           const std::vector<ModelPart>& parts);

std::int64_t heads_of_kv(const ModelConfig& model);  // kv_heads, or heads where that is 0
std::int64_t head_dim(const ModelConfig& model);     // head_dim, or hidden_size / heads where that is 0
std::int64_t parameter_count(const ModelConfig& model);

// Where a store stands among the ranks, and what it is for.
struct StoreShape {
    Dtype compute_dtype = Dtype::fp32;
    bool training = true;  // with gradients and moments
    int tensor_rank = 0;
    int tensor_size = 1;
    int data_rank = 0;
    int data_size = 1;
    bool sharded_optimizer = false;    // masters and moments of this rank's share of the buckets only
    std::int64_t ffn_multiple = 1;     // see ModelShape
    std::int64_t bucket_elements = 0;  // a bucket ends with the parameter that brings it to this size; 0: one bucket
};

// The hyperslab of a parameter's global tensor that lies on this rank. Where it is padded, its elements are stored with
// gaps, whose zeros stay zero: nothing reaches them (GPUs want rows of whole 16 bytes; a feed-forward size of 5461 is
// none).
struct ParameterSlab {
    std::vector<std::int64_t> start, count;
    std::int64_t elements = 0;
    std::int64_t offset = 0;           // in the flat buffers, elements
    std::int64_t stored_elements = 0;  // with the padding
    // As stored: groups of `group` elements of the slab, each followed by zeros up to `stored_group`.
    std::int64_t group = 0, stored_group = 0;
    std::int64_t stored_columns = 0;  // of the slab seen as a matrix

    // The slab's elements that are stored within [stored).
    Range elements_stored_in(Range stored) const;
};
// Calls body(elements, stored) for the runs of some of the slab's elements that lie together, from `stored` on.
void for_each_stored_run(const ParameterSlab& slab, Range elements,
                         const std::function<void(Range elements, std::int64_t stored)>& body);

// Elements of one parameter that this rank updates.
struct OwnedPiece {
    std::size_t parameter = 0;
    Range elements;           // of the rank's row-major slab
    std::int64_t stored = 0;  // where the tensors below begin in the slab as stored; as long as their padding, too
    bool counted = true;      // in the gradient norm: each logical element on one rank of the job only
    Tensor w;                 // fp32 [n] master weights
    Tensor gradient, m, v;    // fp32 [n]; absent without training
    Tensor compute;           // the same weights as the forward pass reads them; absent where that is w
};

// All parameters of this rank in contiguous buffers, in the order in which backward finishes their gradients (the last
// layer first), each aligned to 64 elements; padding stays zero. fp32: masters (w), gradients, Adam moments. In bf16
// runs `compute` is what the forward pass reads; in fp32 runs that is w itself. A tied embedding that is also on
// another stage, and the gates, come last, in buckets of their own: the one because its gradient must be summed over
// the stages first, the others because every rank keeps them in fp32, sharded optimizer or not.
class ParameterStore {
public:
    // Every buffer comes from `arena` (a measuring one plans).
    ParameterStore(std::vector<ParameterSpec> specs, const StoreShape& shape, Arena& arena);
    ParameterStore(const ParameterStore&) = delete;  // buckets are referred to
    ParameterStore& operator=(const ParameterStore&) = delete;

    const std::vector<ParameterSpec>& specs() const { return specs_; }
    const StoreShape& shape() const { return shape_; }
    const ParameterSlab& slab(std::size_t i) const { return slabs_[i]; }
    std::size_t index_of(const std::string& name) const;  // Error(internal) when there is none
    bool contains(const std::string& name) const;

    // Views of one parameter (absent without training: gradient and moments) in the shape of its slab seen as a matrix
    // [elements / last axis, last axis], padding included. Masters and moments: Error(internal) where the rank has only
    // a share of them.
    Tensor master(std::size_t i) const;
    Tensor gradient(std::size_t i) const { return part(gradient_, i); }
    Tensor adam_m(std::size_t i) const;
    Tensor adam_v(std::size_t i) const;
    // What the forward pass reads. Waits if it is under way (start_gather).
    Tensor compute(std::size_t i) const {
        gather_.wait(bucket_of_[i]);
        return part(flat_compute(), i);
    }
    bool has_compute_copy() const { return shape_.compute_dtype != Dtype::fp32; }

    const std::vector<GradientBucket>& buckets() const { return buckets_; }
    std::size_t bucket_of(std::size_t i) const { return bucket_of_[i]; }
    const std::vector<OwnedPiece>& owned() const { return owned_; }
    Tensor all_gradients() const { return gradient_; }

    std::int64_t weight_bytes() const { return flat_compute().bytes(); }
    std::int64_t gradient_bytes() const { return shape_.training ? gradient_.bytes() : 0; }
    // Moments, and masters where the forward pass reads something else.
    std::int64_t optimizer_bytes() const {
        return (shape_.training ? m_.bytes() + v_.bytes() : 0) + (has_compute_copy() ? w_.bytes() : 0);
    }

    // The flat buffer that the forward pass reads. Waits as compute() does.
    Tensor all_compute_weights() const {
        await_weights();
        return flat_compute();
    }

    // With the sharded optimizer: the shares of compute weights that other ranks have updated are on their way from
    // now on. Whoever keeps a view of compute weights calls one of the next two before reading it. Collective.
    void start_gather(Communicator& data) { gather_.start(data, flat_compute(), buckets_); }
    // Until the weights of a layer (ParameterSpec::layer), or all, are there.
    void await_layer(std::int64_t layer) const;
    void await_weights() const { gather_.wait(); }

private:
    void lay_out();
    void allocate(Arena& arena);
    void list_owned();
    std::int64_t close_bucket(std::int64_t begin, std::int64_t end, bool sharded);
    bool owned_only() const { return shape_.training && shape_.sharded_optimizer && shape_.data_size > 1; }
    Tensor flat_compute() const { return has_compute_copy() ? compute_ : w_; }
    bool keeps_whole_master() const { return !owned_only() || !has_compute_copy(); }
    Tensor part(const Tensor& buffer, std::size_t i) const;
    Tensor owned_part(const Tensor& buffer, std::size_t i) const;

    std::vector<ParameterSpec> specs_;
    StoreShape shape_;
    std::vector<ParameterSlab> slabs_;
    std::vector<GradientBucket> buckets_;
    std::vector<std::size_t> bucket_of_;
    std::int64_t total_ = 0;        // elements of the flat buffers
    std::int64_t owned_total_ = 0;  // of those that hold owned elements only
    Tensor w_, gradient_, m_, v_, compute_;
    std::vector<OwnedPiece> owned_;
    mutable WeightGather gather_;  // of compute weights
};

// owned master weights = the initial weights of (seed, parameter name, global element index): the same on every layout;
// compute weights follow (publish_weights). Moments are left alone. Collective over the data-parallel group.
void initialise(Context& context, ParameterStore& store, std::uint64_t seed, Communicator& data);
// compute weights = masters, on every rank of the data-parallel group (after initialise, and after a checkpoint was
// loaded). Collective.
void publish_weights(Context& context, ParameterStore& store, Communicator& data);

}  // namespace gpas
