// The residual connection around one sub-layer ("branch"): norms, gate and shortcut, for every row of the architecture
// table (io/config/architecture.hpp, which has the equations). A layer has two: around attention and around the MLP.
#pragma once

#include "engine/model/workspace.hpp"
#include "io/config/architecture.hpp"
#include "kernels/ops.hpp"

#include <string>

namespace gpas {

// The residual stream between sites. dgate: where the gradient of the stream's gate, which its reader applies, is
// accumulated (+=, one fp32); null: no gate, or a frozen gate.
struct GatedStream {
    ResidualStream stream;
    float* dgate = nullptr;
};

// What a sub-layer hands to the next one.
struct Handover {
    GatedStream h;
    // [R,C] N(h), where N is the norm through which the next sub-layer reads h. Absent: not computed. Otherwise it is
    // work.normed, which the next sub-layer's branch may overwrite.
    Tensor normed;
};

// A norm, its gradient, and the statistics that its backward needs.
struct SavedNorm {
    Norm norm;
    Tensor dw;    // [C] fp32, +=
    Tensor rstd;  // [R] fp32, 1/√(mean(h²) + eps)
};

// Arenas of the tensors that a site saves for backward. Two, since with full recomputation the stream that leaves the
// layer lives longer than everything inside the layer.
struct SiteArenas {
    Arena& inner;
    Arena& output;  // of the stream after the site
};

class ResidualSite {
public:
    // prefix: "layers.3.mlp.". Keeps views into `store`. Every tensor of a site has R rows.
    ResidualSite(const ModelConfig& model, std::int64_t layer, const std::string& prefix, const ModelShape& shape,
                 ParameterStore& store, const SiteArenas& arenas);

    // Forward: enter(), the branch, leave(). Backward: backward_leave(), the branch's backward, backward_enter().
    // A forward pass may have fewer rows than R (see Model::extend); all its tensors then have as many rows as the
    // stream that enters. Backward needs R rows.

    // Returns the branch's input [R,C]: N(h), or h if the row has no pre-norm. Writes N(h) to work.normed if `before`
    // does not hold it. If the row has no pre-norm and the stream has a gate, writes h = k x to work.normed. Keeps a
    // view of h for backward.
    Tensor enter(const LayerContext& shared, const Handover& before);
    // The tensor [R,C] that the branch must write its output b to.
    Tensor branch_output(const Workspace& work) const { return now(row_.branch_norm ? branch_ : work.branch); }
    // Returns the stream after the sub-layer. next: the norm through which the next sub-layer reads the stream, or
    // null. If the row has no norm on the sum, work.normed = next(stream) is computed in the same pass over memory and
    // returned too.
    Handover leave(const LayerContext& shared, const SavedNorm* next);

    // Returns the gradient [R,C] of the branch's output, in d itself or in work.branch. d [R,C]: on entry the gradient
    // of x of the stream after the site; on return the gradient of the sum x2.
    Tensor backward_leave(const LayerContext& shared, Tensor d);
    // Computes the branch's input [R,C] again (in work.normed, or the stream's x), for weight gradients and recomputation:
    // the same bits as in the forward pass.
    Tensor replay_input(const LayerContext& shared);
    // dinput [R,C]: gradient of the branch's input. d [R,C]: on entry the gradient of x2, on return the gradient of x
    // of the stream before the site. Gradients of the pre-norm and of gates +=.
    void backward_enter(Context& context, Tensor d, Tensor dinput);

    // The pre-norm, for the previous site's leave(); null if the row has no pre-norm.
    const SavedNorm* pre_norm() const { return row_.pre_norm ? &pre_ : nullptr; }
    // The streams before and after the site that the last forward pass stored.
    const GatedStream& input() const { return input_; }
    const ResidualStream& output() const { return output_.stream; }

private:
    // The rows of x, [R,…], that the forward pass has.
    Tensor now(const Tensor& x) const { return x.slice(0, input_.stream.x.dim(0)); }
    // The stream [R,C] as a plain tensor: x if it has no gate, else work.normed = k x.
    Tensor stream_itself(const LayerContext& shared);
    Residual residual_terms() const { return {.alpha = float(row_.alpha), .shortcut = shortcut_}; }

    ResidualRow row_;
    SavedNorm pre_, branch_norm_, sum_;
    Gate shortcut_;           // present if the row's gate is on the shortcut
    Gate sum_gate_;           // present if the row's gate is on the sum
    float* dgate_ = nullptr;  // gradient of the present gate; null: no gate, or a frozen gate
    Tensor branch_;           // [R,C] the branch's output, kept if a norm reads it
    Tensor x2_;               // [R,C] the sum alpha · shortcut + b, before its gate or norm
    Tensor normed_sum_;       // [R,C] the stream after a norm on the sum
    GatedStream input_, output_;
};

// The norm whose weight has this name in `store`. rstd [tokens] fp32 comes from `arena`.
SavedNorm saved_norm(const ModelConfig& model, const std::string& name, ParameterStore& store, std::int64_t tokens,
                     Arena& arena);

}  // namespace gpas
