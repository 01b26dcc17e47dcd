// Every parameter of a model is declared once, as a ParameterSpec. Initialisation, memory, gradients, the optimizer and
// checkpoints derive from the list of specs.
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

enum class ParameterKind { matrix, bias, embedding, norm, gate };  // embedding: also the LM head

struct Initialiser {
    double constant = 0.0;  // value of every element if `stddev` is empty
    // N(0, stddev²): one for all elements, or one per index of axis 1 (of attention.qkv: query heads…, key, value).
    std::vector<double> stddev;
};

struct ParameterSpec {
    std::string name;                 // "layers.3.attention.qkv.weight"
    std::vector<std::int64_t> shape;  // global and unpadded, row-major
    ParameterKind kind = ParameterKind::matrix;
    int tensor_axis = -1;    // sliced over tensor-parallel ranks along this axis; -1: every rank has the whole tensor
    std::int64_t layer = 0;  // -1: before the first layer; ModelConfig::layers: after the last
    bool trainable = true;
    bool decayed = false;  // weight decay applies
    // A tied embedding that the first and the last pipeline stage both have: each updates with the sum of gradients.
    bool shared = false;
    // The rank's heads contribute a part of the gradient of a weight that every tensor-parallel rank has: the parts are
    // summed over the tensor ranks.
    bool shared_by_heads = false;
    bool padded = false;  // a rank's share of tensor_axis is stored with zeros up to StoreShape::ffn_multiple
    // The last stage's copy of such an embedding: updated like the first stage's; counted and saved by that one only.
    bool copy = false;
    Initialiser initialiser;

    std::int64_t elements() const;  // of the global tensor
    // Whether GradientSync sums the gradient over the tensor-parallel ranks: each rank has the sum over its heads, or
    // with sequence parallelism over its part of the sequence.
    bool partial_gradient(bool sequence_parallel) const {
        return tensor_axis < 0 && (shared_by_heads || sequence_parallel);
    }
};

// A contiguous part of the model: what one chunk (virtual stage) of a pipeline stage computes.
struct ModelPart {
    Range layers;
    bool embedding = true;  // turns tokens into the stream
    bool head = true;       // ends with final norm, LM head and loss
};
ModelPart whole_model(const ModelConfig& model);

// The specs of all parameters, in the order of the forward pass. Linear weights are [out, in]. Packed weights have more
// axes, so that tensor-parallel slices and initialisation follow from the shape alone:
//   attention.qkv [kv_heads, heads/kv_heads + 2, head_dim, hidden]: per KV group its query heads, key, value
//   mlp.gate_up   [2, ffn, hidden]
// Their biases have the same axes without the last one. The weights of QK-norm over the projection are
//   attention.q_norm [kv_heads, heads/kv_heads, head_dim]   attention.k_norm [kv_heads, head_dim]
std::vector<ParameterSpec> parameter_specs(const ModelConfig& model, const OptimizerConfig& optimizer);
// The specs of the parameters that these parts of the model have, in the order of the forward pass.
std::vector<ParameterSpec> parameter_specs(const ModelConfig& model, const OptimizerConfig& optimizer,
                                           const std::vector<ModelPart>& parts);

std::int64_t heads_of_kv(const ModelConfig& model);      // number of KV heads: kv_heads, or heads if kv_heads is 0
std::int64_t head_dim(const ModelConfig& model);         // head_dim, or hidden_size / heads if head_dim is 0
std::int64_t parameter_count(const ModelConfig& model);  // elements of the whole model, tied embeddings counted once

// A store's place among the ranks, and what the store holds.
struct StoreShape {
    Dtype compute_dtype = Dtype::fp32;  // of the weights that the forward pass reads
    bool training = true;               // with gradients and Adam moments
    int tensor_rank = 0;
    int tensor_size = 1;
    int data_rank = 0;
    int data_size = 1;
    bool sharded_optimizer = false;    // ZeRO-1: masters and moments of this data rank's share of the buckets only
    std::int64_t ffn_multiple = 1;     // see ModelShape
    std::int64_t bucket_elements = 0;  // a bucket ends with the parameter that brings it to this size; 0: one bucket
};

// The hyperslab of a parameter's global tensor that this rank stores. A padded parameter is stored with gaps of zeros
// between its elements, since GPU kernels want rows of a multiple of 16 bytes, and a feed-forward size such as 5461
// gives other rows. Gradients of the gaps are zero, so the gaps stay zero.
struct ParameterSlab {
    std::vector<std::int64_t> start, count;  // per axis of the global tensor, elements
    std::int64_t elements = 0;               // without padding
    std::int64_t offset = 0;                 // of the slab in the flat buffers, elements
    std::int64_t stored_elements = 0;        // with padding
    // Storage is a sequence of groups: `group` elements of the slab, then zeros up to `stored_group`.
    std::int64_t group = 0, stored_group = 0;
    std::int64_t stored_columns = 0;  // of the slab seen as a matrix

    // The slab's elements that are stored within this range of stored positions.
    Range elements_stored_in(Range stored) const;
};
// Splits a range of the slab's elements into runs that are contiguous in storage, and calls body(elements, stored) for
// each run; stored: the position of its first element in the slab as stored.
void for_each_stored_run(const ParameterSlab& slab, Range elements,
                         const std::function<void(Range elements, std::int64_t stored)>& body);

// Elements of one parameter that this rank updates. The tensors are views into the store.
struct OwnedPiece {
    std::size_t parameter = 0;
    Range elements;           // of the rank's row-major slab
    std::int64_t stored = 0;  // position of the tensors below in the slab as stored; their n includes padding
    bool counted = true;      // in the gradient norm; each logical element is counted on one rank of the job only
    Tensor w;                 // fp32 [n] master weights
    Tensor gradient, m, v;    // fp32 [n]; absent without training
    Tensor compute;           // [n] weights as the forward pass reads them; absent if the forward pass reads w
};

// All parameters of this rank in contiguous ("flat") buffers, in the order in which backward completes their gradients
// (the last layer first). Each parameter is aligned to 64 elements; padding stays zero. Master weights (w), gradients
// and Adam moments are fp32. The forward pass reads `compute` (bf16) in bf16 runs, and w in fp32 runs. Two kinds of
// parameters come last, in buckets of their own: a tied embedding that another pipeline stage also has, since its
// gradient must first be summed over the two stages; and the gates, since every rank keeps all of them in fp32, also
// with the sharded optimizer.
class ParameterStore {
public:
    // Every buffer comes from `arena`. With a measuring arena the store has no memory and serves to plan.
    ParameterStore(std::vector<ParameterSpec> specs, const StoreShape& shape, Arena& arena);
    ParameterStore(const ParameterStore&) = delete;  // others keep references to the buckets
    ParameterStore& operator=(const ParameterStore&) = delete;

    const std::vector<ParameterSpec>& specs() const { return specs_; }
    const StoreShape& shape() const { return shape_; }
    const ParameterSlab& slab(std::size_t i) const { return slabs_[i]; }
    std::size_t index_of(const std::string& name) const;  // Error(internal) if the store has no such parameter
    bool contains(const std::string& name) const;

    // Views of parameter i in the shape of its slab seen as a matrix [elements / last axis, last axis], padding
    // included. Without training, gradient and moments are absent. Masters and moments: Error(internal) if the rank
    // has only a share of them (sharded optimizer).
    Tensor master(std::size_t i) const;
    Tensor gradient(std::size_t i) const { return part(gradient_, i); }
    Tensor adam_m(std::size_t i) const;
    Tensor adam_v(std::size_t i) const;
    // The weights that the forward pass reads. Waits for the parameter's bucket if start_gather is under way.
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
    // Bytes of the moments, and of the masters if the forward pass reads a copy of them.
    std::int64_t optimizer_bytes() const {
        return (shape_.training ? m_.bytes() + v_.bytes() : 0) + (has_compute_copy() ? w_.bytes() : 0);
    }

    // The flat buffer that the forward pass reads. Waits for all of it if start_gather is under way.
    Tensor all_compute_weights() const {
        await_weights();
        return flat_compute();
    }

    // With the sharded optimizer: starts the all-gather of the compute weights that each data-parallel rank has
    // updated, bucket by bucket, and returns. Code that keeps a view of compute weights must call one of the next two
    // before it reads the view. Collective over `data`.
    void start_gather(Communicator& data) { gather_.start(data, flat_compute(), buckets_); }
    // Wait until the weights of a layer (ParameterSpec::layer), or all weights, are gathered.
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
    std::int64_t total_ = 0;        // elements of the flat buffers that hold all parameters of the rank
    std::int64_t owned_total_ = 0;  // elements of the flat buffers that hold owned elements only
    Tensor w_, gradient_, m_, v_, compute_;
    std::vector<OwnedPiece> owned_;
    mutable WeightGather gather_;  // the all-gather of compute weights under way
};

// owned master weights = the initial weights. They are a function of (seed, parameter name, global element index), so
// they are the same for every parallel layout. Then calls publish_weights. Moments are not touched. Collective over
// `data`, the data-parallel group.
void initialise(Context& context, ParameterStore& store, std::uint64_t seed, Communicator& data);
// compute weights = masters (rounded to compute_dtype), on every rank of the data-parallel group. For use after
// a checkpoint was loaded. Collective over `data`.
void publish_weights(Context& context, ParameterStore& store, Communicator& data);

}  // namespace gpas
