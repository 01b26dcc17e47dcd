// How a rank computes its part of the model (ModelShape), and the buffers that all its layers share (Workspace). A
// buffer's content is valid within one forward or backward of a sub-layer only.
#pragma once

#include "engine/model/number_probe.hpp"
#include "engine/model/parameters.hpp"
#include "kernels/ops.hpp"
#include "kernels/qk_norm.hpp"
#include "parallel/tensor_parallel.hpp"

namespace gpas {

// How a rank computes its parts of the model. T = batch · sequence tokens per micro-batch; R: rows of an activation
// between sub-layers: R = T, or R = ⌈T/t⌉ with sequence parallelism over t tensor-parallel ranks. If t does not divide
// T, the last rows of the last ranks are padding. Padding stays zero in forward and backward, so it adds nothing to a
// gradient; readers of a gathered tensor skip it.
struct ModelShape {
    std::int64_t batch = 0;     // samples per micro-batch
    std::int64_t sequence = 0;  // tokens per sample
    Dtype dtype = Dtype::fp32;  // of activations and of the weights that the forward pass reads
    bool training = true;       // false: no memory for gradients
    // none: everything is kept for backward. selective: the stream is kept, the insides of attention and MLP are
    // computed again. full: a layer keeps its output only, and backward runs the layer's forward pass again.
    Recompute recompute = Recompute::none;
    bool split_backward = false;  // weight gradients are computed later than input gradients (zero-bubble schedules)
    int tensor_rank = 0;
    int tensor_size = 1;
    bool sequence_parallel = false;
    // Overlap tensor-parallel messages with products, one block of R rows at a time (sequence parallelism only; see
    // tensor_parallel.hpp).
    bool tensor_overlap = false;
    std::int64_t ffn_multiple = 1;  // a rank's feed-forward columns are padded to a multiple of this; 1: no padding
    // Most tokens whose logits exist at once. Large enough for an efficient product of the weight gradient, small
    // enough that logits take a small share of memory.
    std::int64_t head_chunk = 512;
    std::int64_t tokens() const { return batch * sequence; }
    std::int64_t rows() const { return sequence_parallel ? shard_size(tokens(), tensor_size) : tokens(); }  // R
    // Rows of all tensor-parallel ranks together, padding included: R·t with sequence parallelism, else T.
    std::int64_t padded_tokens() const { return sequence_parallel ? rows() * tensor_size : tokens(); }
    // The number of this rank's R rows that are tokens, not padding. Can be 0 if the micro-batch has few tokens.
    std::int64_t token_rows() const {
        if (!sequence_parallel) return rows();
        return overlap({0, tokens()}, {tensor_rank * rows(), (tensor_rank + 1) * rows()}).size();
    }
};

// This rank's share under tensor parallelism: query heads and KV heads; feed-forward columns F, padding included; rows
// of the vocabulary.
AttentionShape attention_shape(const ModelConfig& model, const ModelShape& shape);
std::int64_t ffn_columns(const ModelConfig& model, const ModelShape& shape);
// QK-norm of this rank's heads, without weights. For models that have it.
QkNorm qk_norm_shape(const ModelConfig& model, const ModelShape& shape);
Range vocabulary_rows(const ModelConfig& model, const ModelShape& shape);

// All tensors come from one arena; see ModelShape for T, R and t, attention.hpp and mlp.hpp for the other names.
struct Workspace {
    Workspace(const ModelConfig& model, const ModelShape& shape, bool with_head, Arena& arena);

    // Fills the rotary tables, and the padding with zeros. Call it once, before the first forward pass.
    void prepare(Context& context, const ModelConfig& model);

    Tensor cos, sin;  // [sequence, head_dim/2] fp32, of the rotary positions
    // Between sub-layers, R rows.
    Tensor normed;  // [R,C] a norm's output: the branch's input
    Tensor branch;  // [R,C] the branch's output; in backward its gradient, if that differs from the stream's gradient
    Tensor dinput;  // [R,C] gradient of the branch's input
    // Inside sub-layers, with sequence parallelism only: R·t rows, which are the T tokens and the padding.
    // [R·t,C] the gathered input of a column-parallel product. With tensor_overlap a later sum over ranks stores the
    // other ranks' terms in the same memory.
    Tensor whole_input;
    Tensor whole_doutput;  // [R·t,C] the gathered gradient of a row-parallel product's output
    Tensor partial;        // [R·t,C] this rank's term of a sum over ranks; its padding is zero
    // Inside sub-layers, this rank's columns.
    Tensor act;        // [T,F]
    Tensor dact;       // [T,F]
    Tensor d_o;        // [T, heads·head_dim]
    Tensor dqkv;       // [T, qkv columns]
    Tensor head_dots;  // [T, spans] fp32, of QK-norm's backward; absent without QK-norm
    // Of the head, for one chunk of tokens; V' columns of this rank.
    Tensor logits;        // [chunk, V'] fp32
    Tensor dlogits;       // [chunk, V'] in the model's dtype; in fp32 runs the same memory as logits
    Tensor stats;         // [chunk, 3] fp32, softmax statistics
    Tensor stats_parts;   // [t, chunk, 3] fp32, of all tensor-parallel ranks; absent in a group of one rank
    Tensor token_losses;  // [T] fp64, each token's loss (nats), if an evaluation asks for them; 0: without a label
    // Sums that the host reads, fp64.
    Tensor loss;     // [1] Σ of the losses of all tokens since it was cleared
    Tensor squares;  // [2] Σ of squared gradients: [0] of all parameters but the gates, [1] of the gates
    // [1] own loss, [4] sums, [update_numbers] decision of a step (step_sums, decide_update in kernels/ops.hpp). In one
    // tensor, so that the host reads all of them in one copy.
    Tensor step_numbers;

    // Checks the outputs of the forward pass while the origin of bad numbers is searched for; null otherwise.
    NumberProbe* probe = nullptr;
    void look(Context& context, const char* name, Tensor x) const {
        if (probe != nullptr) probe->look(context, name, x);
    }
};

// What all layers of a rank use. Every sub-layer gets it in each call and keeps no part of it.
struct LayerContext {
    Context& context;             // the device, threads and scratch memory
    const TensorParallel& group;  // the tensor-parallel ranks
    Workspace& work;
};

}  // namespace gpas
