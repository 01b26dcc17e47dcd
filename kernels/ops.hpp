// The vocabulary: every operation of training, once. Outputs come first; `=` says written, `+=` accumulated.
//
// T tokens (rows of an activation, sequence-first: row t = position * batch + sample), C hidden size, F feed-forward
// size, V vocabulary. Activations and weights are fp32 or bf16 (one dtype in a call unless it says otherwise);
// statistics, gate parameters and weight gradients are fp32. All sums are taken in fp32 or fp64 in a fixed order:
// the same call gives the same bits for any number of threads. No operation allocates; temporaries come from
// context.scratch(). Shapes are checked at entry (Error(internal) names the operation and what it got).
#pragma once

#include "kernels/context.hpp"
#include "kernels/math.hpp"
#include "kernels/tensor.hpp"

#include <cstdint>
#include <limits>
#include <span>

namespace gpas {

// ---- linear layers: weights are [out, in] --------------------------------------------------------------------------

// y = x wᵀ          y [T,N] (fp32 allowed for bf16 inputs: logits)   x [T,K]   w [N,K]
void matmul(Context&, Tensor y, Tensor x, Tensor w);
// dx = dy w         dx [T,K]   dy [T,N]   w [N,K]
void matmul_dx(Context&, Tensor dx, Tensor dy, Tensor w);
// dw += dyᵀ x       dw [N,K] fp32   dy [T,N]   x [T,K]
void matmul_dw(Context&, Tensor dw, Tensor dy, Tensor x);

// ---- embedding -----------------------------------------------------------------------------------------------------

// w holds rows [first_row, first_row + V') of the table; tokens of other rows belong to other ranks.
// h[t] = w[ids[t] - first_row], zero where w lacks the row    h [T,C]   w [V',C]   ids [T] int32 in [0, V)
void embedding(Context&, Tensor h, Tensor w, Tensor ids, std::int64_t first_row);
// dw[ids[t] - first_row] += dh[t]                             dw [V',C] fp32   dh [T,C]; equal ids in row order
void embedding_backward(Context&, Tensor dw, Tensor dh, Tensor ids, std::int64_t first_row);

// ---- the residual stream: gates, sums and norms --------------------------------------------------------------------

// y = k x with k = 1 - s(g). With stop_gradient (GPAS, arXiv 2506.22049 eq. 5) dx = dy and dg = -s'(g) Σ dy ⊙ x;
// without it dx = k dy. An absent gate (g == nullptr) is k = 1 and has no gradient.
struct Gate {
    const float* g = nullptr;
    GateFunction function = GateFunction::silu;
    float scale = 1.0F;
    bool stop_gradient = true;
    explicit operator bool() const { return g != nullptr; }
};

// The residual stream h = k x: x is what is stored (and what dg needs), the gate is applied by whoever reads it.
struct Stream {
    Tensor x;  // [T,C]
    Gate gate;
};

// n = scale · w ⊙ h · rstd,  rstd = 1/√(mean(h²) + eps)
struct Norm {
    Tensor w;  // [C]
    float eps = 1e-6F;
    float scale = 1.0F;
};

// x2 = alpha · G(h) + b: how a sub-layer's output b joins the stream h.
struct Residual {
    float alpha = 1.0F;
    Gate shortcut;
};

// n = norm(h)       n [T,C]   rstd [T] fp32
void rmsnorm(Context&, Tensor n, Tensor rstd, Stream h, Norm norm);
// n = norm(h) with rstd as saved by the forward pass: the same bits as then
void rmsnorm_replay(Context&, Tensor n, Tensor rstd, Stream h, Norm norm);
// x2 = alpha G(h) + b, as stored (rounded to its dtype)         x2, b [T,C]; x2 may be b
void residual(Context&, Tensor x2, Residual r, Stream h, Tensor b);
// the same, and n = norm(G_out(x2)) in one pass                  n [T,C]   rstd [T]
void residual_rmsnorm(Context&, Tensor x2, Tensor n, Tensor rstd, Residual r, Stream h, Tensor b, Gate out, Norm norm);

// Where gradients of the two gates met in a backward step go (+=, fp32 scalars); null: absent or frozen.
struct GateGradients {
    float* stream = nullptr;    // of h.gate
    float* shortcut = nullptr;  // of r.shortcut
};

// Backward of a norm and of the shortcut beside it: n = norm(h) fed the branch, and x2 = alpha G(h) + branch.
//   in: d = gradient of x2, dn = gradient of n        out: d = gradient of h.x
//   d_h = alpha · (r.shortcut.stop_gradient ? 1 : k_shortcut) · d + Jᵀ dn;   d = d_h · (h.gate.stop_gradient ? 1 : k)
//   dw += scale · Σ_t dn ⊙ h · rstd (fp32 [C], absent: skipped);  gate gradients += -s'(g) Σ d_y ⊙ x of each gate
// alpha == 0: d is not read (a norm without a shortcut), and dn may be d.
void rmsnorm_backward(Context&, Tensor d, Tensor dw, GateGradients dgate, Tensor dn, Residual r, Stream h, Tensor rstd,
                      Norm norm);
// The same where no norm stands before the branch: db = gradient of the branch's input h ([T,C]; may be absent).
//   d_h = alpha · (…) · d + db;   d = d_h · (…)
void residual_backward(Context&, Tensor d, GateGradients dgate, Tensor db, Residual r, Stream h);
// y = k x, for where a stream must be a plain tensor          y, x [T,C]; y may be x
void apply_gate(Context&, Tensor y, Stream h);

struct Moments {
    double sum = 0.0;
    double sum_of_squares = 0.0;
    std::int64_t count = 0;
    double variance() const;  // mean of squares less square of mean, over every element
};
// of the stream's values k x
Moments moments(Context&, Stream h);

// ---- attention -----------------------------------------------------------------------------------------------------

// A row of qkv holds, for each of kv_heads groups: heads/kv_heads query heads, one key head, one value head, each
// head_dim wide: [T, (heads + 2 kv_heads) head_dim].
struct AttentionShape {
    std::int64_t sequence = 0;
    std::int64_t batch = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_dim = 0;
    constexpr std::int64_t qkv_columns() const { return (heads + 2 * kv_heads) * head_dim; }
};

// Rotary position frequencies base^(-2i/head_dim), those of long waves lowered by `factor` as Llama 3 does to reach
// beyond original_length: with s = (original_length/wavelength − low_freq) / (high_freq − low_freq) clamped to [0, 1],
// f ← (1 − s) f/factor + s f.
struct RopeFrequencies {
    double base = 10000.0;
    double factor = 1.0;  // 1: as they are
    double low_freq = 1.0;
    double high_freq = 4.0;
    double original_length = 8192.0;
    double at(std::int64_t i, std::int64_t half) const;  // of pair i of head_dim/2
};
// cos, sin [sequence, head_dim/2] fp32 of position · frequency, computed in fp64
void rope_table(Context&, Tensor cos, Tensor sin, const RopeFrequencies& frequencies);
// Rotates query and key heads in place, pairs (i, i + head_dim/2) ("rotate-half"); inverse: the backward rotation.
void rope(Context&, Tensor qkv, AttentionShape shape, Tensor cos, Tensor sin, bool inverse);

// o = softmax(q kᵀ/√head_dim) v, causal; position t of a sample sees u in [segment_begin[t], t].
// o [T, heads·head_dim]   lse [batch·heads, sequence] fp32: log Σ exp of the scaled scores   qkv after RoPE
// segment_begin [T] int32 (row order), absent: 0 everywhere. No T×T array exists.
void attention(Context&, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape, Tensor segment_begin);
// dqkv = gradient of qkv (after RoPE); dqkv must not be qkv
void attention_backward(Context&, Tensor dqkv, Tensor d_o, Tensor o, Tensor lse, Tensor qkv, AttentionShape shape,
                        Tensor segment_begin);

// ---- feed-forward --------------------------------------------------------------------------------------------------

// act = silu(gate) ⊙ up        act [T,F]   gate_up [T,2F] = [gate | up]
void swiglu(Context&, Tensor act, Tensor gate_up);
// dgate_up = …                 dgate_up [T,2F] may be gate_up   dact [T,F]
void swiglu_backward(Context&, Tensor dgate_up, Tensor dact, Tensor gate_up);

// ---- loss ----------------------------------------------------------------------------------------------------------

// Per token, over the columns at hand: stats[t] = (max, Σ exp(logit - max), logit of the label or 0 when not here).
// stats [T,3] fp32   logits [T,V'] fp32 = columns [first_column, first_column + V') of the vocabulary
// labels [T] int32; -1: not in the loss
void cross_entropy_stats(Context&, Tensor stats, Tensor logits, Tensor labels, std::int64_t first_column);
// stats = those over all columns, from the parts of the ranks that hold them      parts [P,T,3] fp32 in rank order
void cross_entropy_combine(Context&, Tensor stats, Tensor parts);
// sum += Σ over labels ≠ -1 of max + log(Σ exp) - target        sum [1] fp64
void cross_entropy_loss(Context&, Tensor sum, Tensor stats, Tensor labels);
// dlogits = (softmax - onehot(label)) · factor, rows of label -1: 0     dlogits fp32 (may be logits) or bf16
void cross_entropy_backward(Context&, Tensor dlogits, Tensor logits, Tensor stats, Tensor labels,
                            std::int64_t first_column, float factor);

// ---- optimizer and flat ranges (any shape, seen as one range) ------------------------------------------------------

// Decoupled weight decay (AdamW, arXiv 1711.05101 alg. 2) with g = gradient · factor:
//   m = β₁ m + (1-β₁) g;  v = β₂ v + (1-β₂) g²;  w -= lr · (m̂ / (√v̂ + ε) + decay · w),  m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ)
struct AdamwStep {
    double learning_rate = 0.0;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    std::int64_t step = 1;  // t, from 1
    Tensor taken;           // [1] fp64; 0: nothing is written. Absent: the step is taken
};
// w, m, v (=), gradient: fp32 ranges of equal length; compute: the same weights as the forward pass reads them (bf16,
// rounded to nearest; absent when that is w itself); factor: [1] fp64, rounded to fp32; absent: 1
struct AdamwPiece {
    Tensor w, m, v, compute, gradient;
    double weight_decay = 0.0;
    Tensor factor;
};
void adamw(Context&, std::span<const AdamwPiece> pieces, const AdamwStep& step);
// sum += Σ x² of every tensor, over fixed blocks        sum [1] fp64
void squared_norm(Context&, Tensor sum, std::span<const Tensor> xs);
// What a rank adds to the sums of a step: own = factor · loss, sums = (own, or 0 if the loss counts on another rank;
// tokens; squares[0] + squares[1]; squares[1])        own, loss [1], squares [2], sums [4] fp64
struct StepTerms {
    double factor = 1.0;
    bool counted = true;  // the loss, on this rank
    double tokens = 0.0;
};
void step_sums(Context&, Tensor sums, Tensor own, Tensor loss, Tensor squares, const StepTerms& terms);
// When a step's update is taken, and how its gradient is clipped.
struct UpdateRule {
    double divisor = 0.0;                // of the summed gradient; 0: the number of tokens, at least 1
    double clip = 0.0, gate_clip = 0.0;  // largest norm of all gradients, and then of the gates'; 0: any
    double most_loss = std::numeric_limits<double>::infinity();  // above: the update is not taken
    double most_gradient_norm = std::numeric_limits<double>::infinity();
    bool allowed = true;  // false: it is not taken
};
// What became of it; all fp64, as a tensor [update_numbers].
struct UpdateDecision {
    double loss = 0.0;                                     // sums[0] / tokens
    double gradient_norm = 0.0, gate_gradient_norm = 0.0;  // √sums[2] / divisor, √sums[3] / divisor
    double clip = 1.0, gate_clip = 1.0;  // min(1, largest / (norm + 1e-6)); the gates' norm counts after the first clip
    double factor = 1.0, gate_factor = 1.0;  // of the summed gradients of all other parameters, and of gates
    double taken = 0.0;  // 1: loss and norm are finite and not above the rule's limits, there are tokens, it is allowed
};
inline constexpr std::int64_t update_numbers = std::int64_t(sizeof(UpdateDecision) / sizeof(double));
// decision = that of sums over all ranks        decision [update_numbers], sums [4] (see step_sums) fp64
void decide_update(Context&, Tensor decision, Tensor sums, const UpdateRule& rule);
// index of the first NaN or Inf, -1: none
std::int64_t first_non_finite(Context&, Tensor x);
// Σ of fingerprint_term(index, bits of the element) over x, modulo 2^64: the same on every device and for any number of
// threads, another one where one bit differs.
std::uint64_t fingerprint(Context&, Tensor x);
// y = x, rounded to y's dtype (fp32, bf16 either way)
void cast(Context&, Tensor y, Tensor x);
// x = value
void fill(Context&, Tensor x, float value);
// y = factor · y
void scale(Context&, Tensor y, float factor);
// x[i] = N(0, std²) from a counter-based generator: element first_element + i of stream `key`, whatever the layout.
// x fp32. Philox4x32-10 (Salmon et al. 2011), Box-Muller.
void fill_normal(Context&, Tensor x, std::uint64_t key, std::int64_t first_element, float std);

// x = 0, of any dtype
void clear(Context&, Tensor x);
// y = x, from and to wherever they are; equal dtypes and numbers of elements. Where either is memory of the host, it
// may be touched again when this returns.
void copy(Context&, Tensor y, Tensor x);

// ---- the device ----------------------------------------------------------------------------------------------------

// Whether the device has instructions for matrix products of this dtype (bf16 on a CPU: AVX-512 or later). Where it has
// none, bf16 matrices are widened first: the same sums, no faster than fp32.
bool has_native_products(Device device, Dtype dtype);
// Memory of the device (on a CPU: of the machine).
std::int64_t device_memory_bytes(Device device);

// ---- scratch -------------------------------------------------------------------------------------------------------

// Upper bounds of what one call takes from context.scratch(), for planning.
struct ScratchShape {
    std::int64_t tokens = 0;   // rows of the largest activation
    std::int64_t columns = 0;  // its widest row (hidden, feed-forward, qkv)
    std::int64_t vocabulary = 0;
    AttentionShape attention;
    Dtype dtype = Dtype::fp32;
    int threads = 1;
    Device device = Device::cpu;
};
std::int64_t scratch_bytes(const ScratchShape& shape);

}  // namespace gpas
