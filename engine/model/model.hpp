// The LLaMA-type decoder: embedding, layers of two residual sites each, final norm, LM head; forward and backward.
#pragma once

#include "engine/model/attention.hpp"
#include "engine/model/head.hpp"
#include "engine/model/mlp.hpp"
#include "engine/model/residual_site.hpp"

#include <vector>

namespace gpas {

// One micro-batch, rows in sequence-first order (row = position · batch + sample).
struct TokenRows {
    Tensor tokens;         // [T] int32
    Tensor labels;         // [T] int32, -1: not in the loss
    Tensor segment_begin;  // [T] int32, absent: every sample is one document
};

struct ModelShape {
    std::int64_t batch = 0;
    std::int64_t sequence = 0;
    Dtype dtype = Dtype::fp32;
    bool training = true;  // false: no room for gradients
    std::int64_t tokens() const { return batch * sequence; }
};

class Model {
public:
    // Views into `store` (which must outlive the model); activations from `arena` (a measuring one plans).
    Model(const ModelConfig& config, const ModelShape& shape, ParameterStore& store, Arena& arena);

    // Fills the tables that do not change. Call once, after construction on an arena with memory.
    void prepare(Context& context);

    // Σ of the losses of the tokens that have a label (fp64).
    double loss(Context& context, const TokenRows& rows);
    // The same, and every weight gradient += that of factor · Σ.
    double loss_and_backward(Context& context, const TokenRows& rows, float factor);
    // logits = those of the rows of one position      logits [batch, V] fp32
    void logits_at(Context& context, Tensor logits, Tensor tokens, std::int64_t position);

    // Variance of the residual stream after every sub-layer (attention and MLP of layer 0, of layer 1, …), of the last
    // forward pass: what the paper plots.
    std::vector<Moments> stream_moments(Context& context) const;

    const ModelShape& shape() const { return shape_; }

private:
    struct Layer {
        ResidualSite attention_site;
        Attention attention;
        ResidualSite mlp_site;
        Mlp mlp;
    };
    Tensor forward(Context& context, const TokenRows& rows);  // the final norm's output
    const SavedNorm* norm_after(std::size_t layer) const;     // the norm that reads a layer's output first
    void backward(Context& context, const TokenRows& rows);   // from d = gradient of the final norm's output

    ModelConfig config_;
    ModelShape shape_;
    Tensor embedding_, dembedding_;  // [V,C]
    Tensor embedded_;                // [T,C]
    std::vector<Layer> layers_;
    SavedNorm final_norm_;
    GatedStream last_;  // the stream that the final norm read
    Rotary rotary_;
    SiteBuffers buffers_;
    AttentionBuffers attention_buffers_;
    MlpBuffers mlp_buffers_;
    Tensor d_;  // [T,C] gradient of the stream
    Head head_;
};

// Upper bound of what the operations of this model take from the context's scratch.
ScratchShape scratch_shape(const ModelConfig& config, const ModelShape& shape, int threads);

}  // namespace gpas
