// The LLaMA-type decoder, or a contiguous part of it: embedding, layers, final norm, LM head; forward and backward of
// one micro-batch.
//
// One layer, as pre_gpas has it. Other architectures place norms and gates differently (io/config/architecture.hpp).
//   T = batch · sequence   R: rows between sub-layers: T, or ⌈T/t⌉ with sequence parallelism over t tensor ranks
//   C = hidden_size; of this rank: A = heads · head_dim, Q = (heads + 2 kv_heads) · head_dim, F feed-forward columns
//   N: RMSNorm   G(x) = (1 - s(g)) x, the gate   [AG], [RS]: all-gather R -> T, reduce-scatter T -> R over the tensor
//   ranks with sequence parallelism; without it [AG] moves nothing and [RS] is an all-reduce (R = T)
// forward                                          backward, from db = d = gradient of h + b of the MLP [R,C]
//   n   = N(h)                      [R,C]            dact      = [AG] db · Wdown                          [T,F]
//   qkv = rope([AG] n · Wqkvᵀ)      [T,Q]            dgate_up  = swiglu'(dact, gate_up); act again        [T,2F]
//   o   = attention(qkv), lse       [T,A]            dn        = [RS] dgate_up · Wgate_up                 [R,C]
//   b   = [RS] o · Woutᵀ            [R,C]            dWdown   += ([AG] db)ᵀ act;  dWgate_up += dgate_upᵀ ([AG] n)
//   h   = G(h + b)                  [R,C]            d         = N'(dn) + d, then G': db of attention     [R,C]
//   n   = N(h)                      [R,C]            d_o       = [AG] db · Wout                           [T,A]
//   gate_up = [AG] n · Wgate_upᵀ    [T,2F]           dqkv      = rope'(attention'(d_o, o, lse, qkv))      [T,Q]
//   act = silu(gate) ⊙ up           [T,F]            dn        = [RS] dqkv · Wqkv                         [R,C]
//   b   = [RS] act · Wdownᵀ         [R,C]            dWout    += ([AG] db)ᵀ o;    dWqkv     += dqkvᵀ ([AG] n)
//   h   = G(h + b)                  [R,C]            d         = N'(dn) + d, then G' of the layer before  [R,C]
// Stored is h + b; the reader of the stream applies its gate. Backward computes n again from h and the saved 1/rms.
// G' (GPAS, arXiv 2506.22049): dg += -s'(g) Σ d ⊙ (h + b); d passes unscaled with stop_gradient, else times 1 - s(g).
// Gradients of norm weights += too. With sequence parallelism they and dg are sums over a rank's R rows only;
// GradientSync sums them over the tensor ranks once per step. Zero-bubble schedules run the dW lines later.
// Optional (model.qkv_bias, output_bias, mlp_bias, qk_norm): biases of all products; N of queries and keys before rope.
// Weights of a rank: Wqkv [Q,C], Wgate_up [2F,C] (column-parallel); Wout [C,A], Wdown [C,F] (row-parallel); embedding
// and head [V',C] (vocabulary-parallel). First h = [RS] embedding rows; last logits = ([AG] N(h)) · Wheadᵀ in chunks.
#pragma once

#include "engine/model/attention.hpp"
#include "engine/model/head.hpp"
#include "engine/model/mlp.hpp"
#include "engine/model/residual_site.hpp"
#include "engine/model/stream_angles.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace gpas {

// One micro-batch, rows in sequence-first order (row = position · batch + sample).
struct TokenRows {
    Tensor tokens;  // [T] int32
    Tensor labels;  // [T] int32, -1: not in the loss
    // [T] int32: first position of the document that the row belongs to. Absent: every sample is one document.
    Tensor segment_begin;
};

// The memory that a model allocates from. With measuring arenas nothing is allocated: they count bytes for a plan.
struct ModelArenas {
    Arena& kept;        // activations that live from a micro-batch's forward to its backward
    Arena& recomputed;  // activations of one layer that backward computes again; all layers use the same bytes
};

// What the models of a rank share (one model per micro-batch in flight and chunk of a pipeline stage).
struct ModelResources {
    ParameterStore& store;
    Workspace& work;
    const TensorParallel& group;  // the tensor-parallel ranks
};

// What a forward pass measures or changes. By default: nothing.
struct ForwardExtras {
    // Gets the moments of the stream after every sub-layer, appended (the GPAS paper plots their variance). Not with
    // without_layer.
    std::vector<Moments>* moments = nullptr;
    // For evaluation only: leaves out this layer (from 0, of the whole model). The stream that would enter the layer
    // enters the next layer instead. Neither of the layer's two sub-layers is computed, and none of its norms and gates
    // is applied. The other layers stay as they are, factors that depend on depth (DeepNorm's alpha, LNS's 1/√l)
    // included. The pass has no backward.
    std::optional<std::int64_t> without_layer = {};
    StreamAngles* angles = nullptr;  // gets the stream before and after every layer; null: nothing is measured
};

class Model {
public:
    // Called in backward once the gradients of the parameters of a layer (ParameterSpec::layer: -1 is the embedding,
    // `layers` the final norm and head) are complete for this micro-batch.
    using LayerDone = std::function<void(std::int64_t layer)>;

    // Everything in `resources` must outlive the model. The models of a rank run one at a time, because they share
    // `resources`. Each has its own activations.
    Model(const ModelConfig& config, const ModelPart& part, const ModelShape& shape, const ModelResources& resources,
          const ModelArenas& arenas);

    // Returns the residual stream [R,C] after this part: the gated stream, which the next stage gets; or, if the part
    // has the head, the stored sum, whose gate the final norm applies. input [R,C]: the stream that the previous stage
    // sent; if this part has the embedding, the embedding's output is written there (=). The caller must not change it
    // until the backward pass has ended. The result may be `input` itself if `extras` leaves out the part's only layer.
    Tensor forward(Context& context, const TokenRows& rows, Tensor input, const ForwardExtras& extras = {});

    // Forward of the positions from `position` on, without documents: generation with a key-value cache. The cache is
    // the qkv that each layer keeps; this call writes the rows of its positions and reads those of earlier positions.
    // Returns what forward returns, for these positions. tokens [positions · batch] int32: one position, unless
    // `position` is 0. input [R,C]: its first rows are the stream that the previous stage sent; if this part has the
    // embedding, they are written (=). Needs a shape with neither recomputation nor sequence parallelism. Afterwards
    // only logits_at(), extend() or forward() may be called.
    Tensor extend(Context& context, Tensor tokens, Tensor input, std::int64_t position);

    // The next three: after forward, on a part with the head.
    // work.loss [1] fp64 += Σ of the losses (nats) of the tokens that have a label. token_losses [T] fp64 = these losses,
    // 0 without a label; absent: not written.
    void loss(Context& context, const TokenRows& rows, Tensor token_losses = {});
    // The same loss, and d [R,C] = the gradient of factor · Σ with respect to what forward returned (the stream before
    // the final norm); gradients of head and final norm +=.
    void loss_and_gradient(Context& context, const TokenRows& rows, Tensor d, float factor, const LayerDone& done);
    // logits = n wᵀ of the rows of one position      logits [batch, V'] fp32: this rank's rows of the vocabulary
    // position: counted from the first position of the last call of forward or extend. Needs no sequence parallelism.
    void logits_at(Context& context, Tensor logits, std::int64_t position);

    // d [R,C]: on entry the gradient of what forward returned; on return the gradient of forward's input, or after a
    // part with the embedding the gradient of the embedding's output. Weight gradients +=.
    void backward(Context& context, const TokenRows& rows, Tensor d, const LayerDone& done);
    // backward() in two parts, for a shape with split_backward (zero-bubble schedules). backward_input writes d and
    // the gradients of norms, gates and embedding; backward_weight adds those of the matrices of attention and MLP.
    void backward_input(Context& context, const TokenRows& rows, Tensor d);
    void backward_weight(Context& context, const LayerDone& done);

    const ModelShape& shape() const { return shape_; }

private:
    struct Layer {
        ResidualSite attention_site;
        Attention attention;
        ResidualSite mlp_site;
        Mlp mlp;
    };
    LayerContext shared(Context& context) const { return {context, resources_.group, resources_.work}; }
    // Waits until the weights that the layer's forward pass reads are gathered, those of the norm after it included.
    void await_weights_of(std::size_t layer) const;
    Layer make_layer(std::int64_t layer, const ModelArenas& arenas) const;
    // h [R,C] = this rank's rows of embedding[tokens], summed over the tensor-parallel ranks.
    void embed(const LayerContext& shared, Tensor h, Tensor tokens);
    // Gradient of the embedding += rows of d [R,C].
    void embed_backward(const LayerContext& shared, Tensor d, Tensor tokens);
    // Which positions a layer's attention computes: all, with documents; or those from `position` on (extend).
    struct Positions {
        Tensor segment_begin;
        std::optional<std::int64_t> position = {};
    };
    // Both sub-layers. before: the output of the layer before. next: the norm through which the next layer reads this
    // layer's output, or null.
    Handover forward_layer(const LayerContext& shared, Layer& layer, const Handover& before, const SavedNorm* next,
                           const Positions& positions);
    Moments token_moments(Context& context, ResidualStream h) const;
    void recompute_layer(const LayerContext& shared, Layer& layer, Tensor segment_begin);
    void backward_layer(const LayerContext& shared, Layer& layer, Tensor d, Tensor segment_begin);
    void backward_stream(const LayerContext& shared, const TokenRows& rows, Tensor d, const LayerDone& done);
    // The norm of the next layer of this part that reads this layer's output; null: the output is read without a norm,
    // or it leaves the layers of this part.
    const SavedNorm* norm_after(std::size_t layer) const;
    // last_ = the stream after the last layer. Returns what forward returns.
    Tensor sent_stream(Context& context, const GatedStream& last);
    // work.normed [R,C] = N(stream after the last layer), with N the final norm. Returns the rows that were written.
    Tensor normed_output(const LayerContext& shared);
    void leave_backward(Context& context, Tensor d);

    ModelConfig config_;
    ModelPart part_;
    ModelShape shape_;
    ModelResources resources_;
    Tensor embedding_, dembedding_;  // [V',C]: this rank's rows
    std::vector<Layer> layers_;
    SavedNorm final_norm_;
    std::optional<Head> head_;
    GatedStream last_;  // the stream after the last layer
    Tensor sent_;       // [R,C] what forward returns if the stream ends in a gate: the gated stream
};

// Upper bound of the context's scratch memory that the operations of this model use.
ScratchShape scratch_shape(const ModelConfig& config, const ModelShape& shape, int threads);

}  // namespace gpas
