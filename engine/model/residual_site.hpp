// The residual connection around one sub-layer, for every row of the architecture table (architecture.hpp).
#pragma once

#include "engine/model/workspace.hpp"
#include "io/config/architecture.hpp"
#include "kernels/ops.hpp"

#include <string>

namespace gpas {

// The residual stream on its way, and where the gradient of its pending gate belongs (null: no gate, or a frozen one).
struct GatedStream {
    Stream stream;
    float* dgate = nullptr;
};

// A norm, its gradient, and the statistics that its backward needs.
struct SavedNorm {
    Norm norm;
    Tensor dw;    // [C] fp32
    Tensor rstd;  // [R] fp32
};

// Where a site's tensors live: all that backward reads, but for the stream that leaves it, which may have to live
// longer.
struct SiteArenas {
    Arena& inner;
    Arena& output;
};

class ResidualSite {
public:
    // prefix: "layers.3.mlp.". Views into `store`; saved tensors of R rows.
    ResidualSite(const ModelConfig& model, std::int64_t layer, const std::string& prefix, const ModelShape& shape,
                 ParameterStore& store, const SiteArenas& arenas);

    // The branch's input: work.normed, or the stream itself where the row has no pre-norm. `h` is kept for backward.
    // normed: work.normed already holds the pre-norm's output (the site before wrote it in its own pass).
    Tensor enter(Context& context, GatedStream h, bool normed, const Workspace& work);
    // Where the branch is to write its output b.
    Tensor branch_output(const Workspace& work) const { return row_.branch_norm ? branch_ : work.branch; }
    // The stream after the sub-layer. `next`: the norm that reads it first; where this row ends without a norm of its
    // own, that norm's output is left in work.normed in the same pass (and `normed` says so).
    GatedStream leave(Context& context, const SavedNorm* next, bool& normed, const Workspace& work);

    // d: gradient of the stream's x after the site on entry; on return that of the branch's output is in the tensor
    // returned (d itself, or work.branch), and d is the gradient of the sum x2.
    Tensor backward_leave(Context& context, Tensor d, const Workspace& work);
    // The branch's input again, for weight gradients: the same bits as in the forward pass.
    Tensor replay_input(Context& context, const Workspace& work);
    // dinput: gradient of the branch's input. d: gradient of x2 on entry, of the incoming stream's x on return.
    void backward_enter(Context& context, Tensor d, Tensor dinput);

    // The pre-norm, for the site before; null where the row has none.
    const SavedNorm* pre_norm() const { return row_.pre_norm ? &pre_ : nullptr; }
    // The stream before and after the site, as forward left it.
    const GatedStream& input() const { return input_; }
    const Stream& output() const { return output_.stream; }

private:
    Residual residual_terms() const { return {.alpha = float(row_.alpha), .shortcut = shortcut_}; }

    ResidualRow row_;
    SavedNorm pre_, branch_norm_, sum_;
    Gate shortcut_;  // present where the gate stands at the shortcut
    Gate sum_gate_;  // present where it stands at the sum
    float* dgate_ = nullptr;
    Tensor branch_;      // [T,C] the branch's output, kept where a norm reads it
    Tensor x2_;          // [T,C] the sum, before its gate or norm
    Tensor normed_sum_;  // [T,C] the stream after a sum norm
    GatedStream input_, output_;
};

// The weight, gradient and statistics of a norm of this name.
SavedNorm saved_norm(const ModelConfig& model, const std::string& name, ParameterStore& store, std::int64_t tokens,
                     Arena& arena);

}  // namespace gpas
