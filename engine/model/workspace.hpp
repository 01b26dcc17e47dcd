// What all layers of a rank share: nothing in here outlives one forward or backward of a sub-layer.
#pragma once

#include "engine/model/number_probe.hpp"
#include "engine/model/parameters.hpp"
#include "kernels/ops.hpp"
#include "parallel/tensor_parallel.hpp"

namespace gpas {

// How a rank computes its parts of the model. T tokens per micro-batch; R = T, or ⌈T/t⌉ with sequence parallelism over t
// ranks. If t does not divide T, the last rows of the last ranks are padding: they stay zero in forward and backward, so
// that they add nothing to a gradient, and what is gathered from all ranks is read without them.
struct ModelShape {
    std::int64_t batch = 0;     // samples of a micro-batch
    std::int64_t sequence = 0;  // tokens of a sample
    Dtype dtype = Dtype::fp32;
    bool training = true;  // false: no room for gradients
    // selective: the stream is kept; full: a layer keeps its output only, and runs its forward pass again in backward
    Recompute recompute = Recompute::none;
    bool split_backward = false;  // weight gradients may come later than input gradients (zero-bubble schedules)
    int tensor_rank = 0;
    int tensor_size = 1;
    bool sequence_parallel = false;
    bool tensor_overlap =
        false;  // row blocks of the tensor-parallel ranks travel one by one (sequence parallelism only)
    std::int64_t ffn_multiple = 1;  // a rank's feed-forward columns are padded to a multiple of this; 1: not at all
    // Tokens whose logits exist at once, at most: enough that the weight gradient's product is efficient, and few enough
    // that logits stay a small share of memory.
    std::int64_t head_chunk = 512;
    std::int64_t tokens() const { return batch * sequence; }
    std::int64_t rows() const { return sequence_parallel ? shard_size(tokens(), tensor_size) : tokens(); }  // R
    // The rows of all ranks together, R·t with sequence parallelism: T and the padding.
    std::int64_t padded_tokens() const { return sequence_parallel ? rows() * tensor_size : tokens(); }
    // How many of this rank's R rows are tokens. None may be, if the micro-batch has few tokens.
    std::int64_t token_rows() const {
        if (!sequence_parallel) return rows();
        return overlap({0, tokens()}, {tensor_rank * rows(), (tensor_rank + 1) * rows()}).size();
    }
};

// This rank's heads and groups.
AttentionShape attention_shape(const ModelConfig& model, const ModelShape& shape);
std::int64_t ffn_columns(const ModelConfig& model, const ModelShape& shape);  // of this rank, padded
Range vocabulary_rows(const ModelConfig& model, const ModelShape& shape);     // of this rank

struct Workspace {
    Workspace(const ModelConfig& model, const ModelShape& shape, bool with_head, Arena& arena);

    // Fills the tables that do not change, and the padding with zeros.
    void prepare(Context& context, const ModelConfig& model);

    Tensor cos, sin;  // [sequence, head_dim/2] fp32
    // Between sub-layers, R rows.
    Tensor normed;  // [R,C] a norm's output: the branch's input
    Tensor branch;  // [R,C] the branch's output; in backward the gradient of it, where that is not the stream's
    Tensor dinput;  // [R,C] gradient of the branch's input
    // Inside sub-layers, with sequence parallelism only: T rows and the padding.
    // [R·t,C] the gathered input of a column-parallel product; after it, other ranks' terms of a sum that overlaps
    Tensor whole_input;
    Tensor whole_doutput;  // [R·t,C] the gathered gradient of a row-parallel product's output
    Tensor partial;        // [R·t,C] this rank's term of a sum over ranks; its padding is zero
    // This rank's columns.
    Tensor act;   // [T,F]
    Tensor dact;  // [T,F]
    Tensor d_o;   // [T, heads·head_dim]
    Tensor dqkv;  // [T, qkv columns]
    // The head's, for a chunk of tokens; V columns of this rank.
    Tensor logits;       // [chunk, V] fp32
    Tensor dlogits;      // [chunk, V]: the logits themselves in fp32 runs
    Tensor stats;        // [chunk, 3] fp32
    Tensor stats_parts;  // [t, chunk, 3] fp32; absent in a group of one
    // Sums that the host reads, fp64.
    Tensor loss;     // [1] of all tokens since it was cleared
    Tensor squares;  // [2] of the gradients of all other parameters, of the gates
    // [1] own loss, [4] sums, [update_numbers] decision of a step (step_sums, decide_update in kernels/ops.hpp), which
    // the host reads at once.
    Tensor step_numbers;

    // Looks at what the forward pass computes, if bad numbers are searched for.
    NumberProbe* probe = nullptr;
    void look(Context& context, const char* name, Tensor x) const {
        if (probe != nullptr) probe->look(context, name, x);
    }

    // The model whose final norm's output stands in `normed`, if any does.
    const void* normed_by = nullptr;
};

}  // namespace gpas
