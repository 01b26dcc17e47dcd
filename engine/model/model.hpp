// The LLaMA-type decoder, or a contiguous part of it: embedding, layers of two residual sites each, final norm, LM
// head; forward and backward of one micro-batch.
#pragma once

#include "engine/model/attention.hpp"
#include "engine/model/head.hpp"
#include "engine/model/mlp.hpp"
#include "engine/model/residual_site.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace gpas {

// One micro-batch, rows in sequence-first order (row = position · batch + sample).
struct TokenRows {
    Tensor tokens;         // [T] int32
    Tensor labels;         // [T] int32, -1: not in the loss
    Tensor segment_begin;  // [T] int32, absent: every sample is one document
};

// Where a model's memory comes from. One that measures plans.
struct ModelArenas {
    Arena& kept;        // activations that live from a micro-batch's forward to its backward
    Arena& recomputed;  // those of one layer, that backward computes again; every layer starts at its beginning
};

class Model {
public:
    // Called in backward when the gradients of a layer's parameters (ParameterSpec::layer) are complete for this
    // micro-batch.
    using LayerDone = std::function<void(std::int64_t layer)>;

    // Views into `store`, `work` and `tensor`, which must outlive the model. Models that take turns (micro-batches in
    // flight, chunks of a pipeline stage) share all three and differ in their arenas.
    Model(const ModelConfig& config, const ModelPart& part, const ModelShape& shape, ParameterStore& store,
          Workspace& work, const TensorParallel& tensor, const ModelArenas& arenas);

    // The stream after this part, to be sent on: where the part has the head, that is what the final norm reads.
    // input [R,C]: the stream before this part as the stage before sent it; where this part has the embedding, room for
    // what the embedding gives. It must stay as it is until the backward pass is over. moments: where to append the
    // variance of the stream after every sub-layer (what the paper plots); null: nowhere.
    Tensor forward(Context& context, const TokenRows& rows, Tensor input, std::vector<Moments>* moments = nullptr);

    // After forward, on a part with the head.
    // work.loss += Σ of the losses of the tokens that have a label.
    void loss(Context& context, const TokenRows& rows);
    // The same, and d [R,C] = the gradient of factor · Σ with respect to the stream before the final norm; weight
    // gradients +=.
    void loss_and_gradient(Context& context, const TokenRows& rows, Tensor d, float factor, const LayerDone& done);
    // logits = those of the rows of one position      logits [batch, V] fp32; in a tensor group of one
    void logits_at(Context& context, Tensor logits, std::int64_t position);

    // d = gradient of what forward returned on entry, of its input on return; weight gradients +=.
    void backward(Context& context, const TokenRows& rows, Tensor d, const LayerDone& done);
    // The same in two parts, where the shape splits backward. The second completes the weight gradients of attention
    // and MLP; norms, gates and embedding are done by the first.
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
    // Until the weights are there that the layer's forward pass reads, those of the norm behind it included.
    void await_weights_of(std::size_t layer) const;
    Layer make_layer(std::int64_t layer, ParameterStore& store, const ModelArenas& arenas) const;
    void embed(Context& context, Tensor h, Tensor tokens);
    void embed_backward(Context& context, Tensor d, Tensor tokens);
    GatedStream forward_layer(Context& context, Layer& layer, GatedStream h, const SavedNorm* next, bool& normed,
                              Tensor segment_begin);
    Moments token_moments(Context& context, Stream h) const;
    void recompute_layer(Context& context, Layer& layer, Tensor segment_begin);
    void backward_layer(Context& context, Layer& layer, Tensor d, Tensor segment_begin);
    void backward_stream(Context& context, const TokenRows& rows, Tensor d, const LayerDone& done);
    const SavedNorm* norm_after(
        std::size_t layer) const;         // the norm that reads a layer's output first; null: elsewhere
    Tensor final_norm(Context& context);  // its output
    void leave_backward(Context& context, Tensor d);

    ModelConfig config_;
    ModelPart part_;
    ModelShape shape_;
    Workspace* work_;
    const TensorParallel* tensor_;
    const ParameterStore* store_;
    Tensor embedding_, dembedding_;  // [V',C]: this rank's rows
    std::vector<Layer> layers_;
    SavedNorm final_norm_;
    std::optional<Head> head_;
    GatedStream last_;  // the stream after the last layer
    Tensor sent_;       // [R,C] what forward returns, where the stream ends in a gate
};

// Upper bound of what the operations of this model take from the context's scratch.
ScratchShape scratch_shape(const ModelConfig& config, const ModelShape& shape, int threads);

}  // namespace gpas
