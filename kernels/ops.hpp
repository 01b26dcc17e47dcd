// Every operation of training, declared once for all backends. Outputs come first. In the formulas `=` means that the
// output is written, and `+=` that the result is added to it.
//
// T: number of tokens (rows of an activation). Rows are sequence-first: row t = position * batch + sample.
// C: hidden size.   F: feed-forward size.   V: vocabulary size.   V': rows or columns of V that this rank holds.
// Activations and weights are fp32 or bf16. All activations and weights of one call have one dtype, unless the comment
// of the operation allows a mix. Statistics, gate parameters and weight gradients are fp32.
// All sums are taken in fp32 or fp64, in a fixed order: a call gives the same bits for any number of threads.
// No operation allocates memory: temporaries come from context.scratch().
// Each operation checks shapes at its entry. Error(internal) names the operation and the tensors that it got.
// Only one thread at a time may call operations on a Context.
// An operation with many parameters takes them as one struct. A call may leave out the members with a default.
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
// y[t] += bias for each row t        y [T,N]   bias: N elements
void add_bias(Context&, Tensor y, Tensor bias);
// dbias += Σ_t dy[t]                 dbias: N elements, fp32   dy [T,N]
void bias_gradient(Context&, Tensor dbias, Tensor dy);

// ---- embedding -----------------------------------------------------------------------------------------------------

// Vocabulary-parallel: w holds rows [first_row, first_row + V') of the table. Other ranks hold the other rows.
// h[t] = w[ids[t] - first_row], or 0 if w does not hold the row    h [T,C]   w [V',C]   ids [T] int32 in [0, V)
void embedding(Context&, Tensor h, Tensor w, Tensor ids, std::int64_t first_row);
// dw[ids[t] - first_row] += dh[t]                                  dw [V',C] fp32   dh [T,C]   ids [T] int32
// Rows of dh that have the same id are added in row order.
void embedding_backward(Context&, Tensor dw, Tensor dh, Tensor ids, std::int64_t first_row);

// ---- the residual stream: gates, sums and norms --------------------------------------------------------------------

// Scales an activation: y = k x with k = 1 - s(g). s is gate_value() of kernels/math.hpp; g is one fp32 parameter.
//   stop_gradient (GPAS, arXiv 2506.22049 eq. 5): dx = dy.   Without stop_gradient: dx = k dy.
//   In both cases dg += -s'(g) Σ dy ⊙ x.
// An absent gate (g == nullptr) means k = 1 and has no gradient.
struct Gate {
    const float* g = nullptr;
    GateFunction function = GateFunction::silu;
    float scale = 1.0F;  // of gate_value(): used by scaled_silu and leaky_relu alone
    bool stop_gradient = true;
    explicit operator bool() const { return g != nullptr; }
};

// The residual stream h = k x. Memory holds x, because dg needs x. Each operation that reads the stream applies the
// gate.
struct ResidualStream {
    Tensor x;  // [T,C]
    Gate gate;
};

// RMSNorm per row: n = scale · w ⊙ h · rstd,  rstd = 1/√(mean(h²) + eps)
struct Norm {
    Tensor w;  // [C]
    float eps = 1e-6F;
    float scale = 1.0F;
};

// How a sub-layer's output b is added to the stream h: x2 = alpha · G(h) + b with G(h) = k_shortcut · h.
struct Residual {
    float alpha = 1.0F;
    Gate shortcut;
};

// n = norm(h)       n [T,C]   rstd [T] fp32
void rmsnorm(Context&, Tensor n, Tensor rstd, ResidualStream h, Norm norm);
// n = norm(h) from the rstd that the forward pass saved (rstd is read, not written). n has the forward pass's bits.
void rmsnorm_replay(Context&, Tensor n, Tensor rstd, ResidualStream h, Norm norm);
// x2 = alpha G(h) + b, rounded to x2's dtype. If n is present, the same pass also writes n = norm(G_out(x2)), computed
// from the rounded x2. G_out is the gate `out`.
struct ResidualArgs {
    Tensor x2;         // [T,C]; may be b
    Tensor n = {};     // [T,C]; absent: only x2 is written, and rstd, out and norm are not read
    Tensor rstd = {};  // [T] fp32
    Residual r = {};
    ResidualStream h;  // [T,C]
    Tensor b;          // [T,C]
    Gate out = {};
    Norm norm = {};
};
void residual(Context&, const ResidualArgs&);

// Where a backward operation adds (+=) the gradients of its two gates: fp32 scalars in the memory of the context's
// device. Null: the gate is absent or frozen.
struct GateGradients {
    float* stream = nullptr;    // of h.gate
    float* shortcut = nullptr;  // of r.shortcut
};

// Backward of a sub-layer's norm and shortcut together. Forward: n = norm(h), branch = f(n), x2 = alpha G(h) + branch.
//   d_h = alpha · (r.shortcut.stop_gradient ? 1 : k_shortcut) · d + Jᵀ dn      (J: Jacobian of the norm)
//   d   = d_h · (h.gate.stop_gradient ? 1 : k)
//   dw += scale · Σ_t dn ⊙ h · rstd
//   dgate.stream   += -s'(g) Σ d_h ⊙ h.x          (g of h.gate)
//   dgate.shortcut += -s'(g) Σ alpha d ⊙ h        (g of r.shortcut; d as it came in)
// alpha == 0: a norm without a shortcut. d is then only written, and dn may be d.
struct RmsnormBackwardArgs {
    Tensor d;        // [T,C] in: gradient of x2; out: gradient of h.x
    Tensor dw = {};  // [C] fp32; absent: not computed
    GateGradients dgate = {};
    Tensor dn;  // [T,C] gradient of n
    Residual r = {};
    ResidualStream h;  // [T,C]
    Tensor rstd;       // [T] fp32, of the forward pass
    Norm norm;
};
void rmsnorm_backward(Context&, const RmsnormBackwardArgs&);
// rmsnorm_backward() for a sub-layer without a norm before its branch.
//   d_h = alpha · (r.shortcut.stop_gradient ? 1 : k_shortcut) · d + db;   d = d_h · (h.gate.stop_gradient ? 1 : k)
struct ResidualBackwardArgs {
    Tensor d;  // [T,C] in: gradient of x2; out: gradient of h.x
    GateGradients dgate = {};
    Tensor db = {};  // [T,C] gradient of the branch's input h; absent: 0
    Residual r = {};
    ResidualStream h;  // [T,C]
};
void residual_backward(Context&, const ResidualBackwardArgs&);
// y = k x: the stream as a plain tensor, for code that does not know gates        y, h.x [T,C]; y may be h.x
void apply_gate(Context&, Tensor y, ResidualStream h);

// Sum, sum of squares and number of elements of a tensor.
struct Moments {
    double sum = 0.0;
    double sum_of_squares = 0.0;
    std::int64_t count = 0;
    double variance() const;  // mean(h²) - mean(h)², over all elements
};
// Sums over the stream's values h = k x. On a GPU the call waits for the result.
Moments moments(Context&, ResidualStream h);

// ---- attention -----------------------------------------------------------------------------------------------------

// Packed qkv is [T, (heads + 2 kv_heads) head_dim]. A row holds kv_heads groups one after the other (grouped-query
// attention). A group holds heads/kv_heads query heads, then one key head, then one value head; a head is head_dim
// columns wide. heads and kv_heads are those of this rank.
struct AttentionShape {
    std::int64_t sequence = 0;
    std::int64_t batch = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_dim = 0;
    std::int64_t window =
        0;  // of attention(), attention_last() and attention_backward(): see AttentionArgs; 0: no limit
    constexpr std::int64_t qkv_columns() const { return (heads + 2 * kv_heads) * head_dim; }
};

// Rotary frequencies f = base^(-2i/head_dim) of the pairs i, in radians per position. As in Llama 3, long waves are
// slowed down by `factor`, so that a model can be extended beyond original_length:
//   wavelength = 2π/f,  s = (original_length/wavelength − low_freq) / (high_freq − low_freq) clamped to [0, 1],
//   f ← (1 − s) f/factor + s f
struct RopeFrequencies {
    double base = 10000.0;
    double factor = 1.0;  // 1: frequencies stay unchanged
    double low_freq = 1.0;
    double high_freq = 4.0;
    double original_length = 8192.0;
    double at(std::int64_t i, std::int64_t half) const;  // f of pair i; half = head_dim/2 pairs
};
// cos[p, i] = cos(p f_i), sin[p, i] = sin(p f_i), computed in fp64        cos, sin [sequence, head_dim/2] fp32
void rope_table(Context&, Tensor cos, Tensor sin, const RopeFrequencies& frequencies);
// Rotates query and key heads of qkv in place. Columns i and i + head_dim/2 of a head form pair i ("rotate-half"):
//   (a, b) ← (a cos - b sin, b cos + a sin)
// inverse: rotates by the negative angle, which is the backward pass on dqkv.
// Row p of cos and sin is used for position p of qkv; a slice of the tables rotates later positions.
void rope(Context&, Tensor qkv, AttentionShape shape, Tensor cos, Tensor sin, bool inverse);

// o = softmax(q kᵀ/√head_dim) v, causal. Position t of a sample attends to positions u in [segment_begin[t], t]. With
// shape.window > 0 (sliding-window attention, as in Mistral), it attends to those with t - window < u only; tiles of
// keys that a tile of queries does not attend to are then neither read nor computed.
// As in FlashAttention, no T×T array is stored.
struct AttentionArgs {
    Tensor o;    // [T, heads·head_dim]
    Tensor lse;  // [batch·heads, sequence] fp32: log Σ exp of the scaled scores
    Tensor qkv;  // [T, qkv_columns] after RoPE
    AttentionShape shape;
    // [T] int32, in row order: position of the first token of the row's document; absent: 0 for every row
    Tensor segment_begin = {};
};
void attention(Context&, const AttentionArgs&);
// o [batch, heads·head_dim] = the rows of attention() at the last position of each sample, without documents. With the
// keys and values of earlier positions kept in qkv, generation computes one position at a time. Keys and values before
// the window are not read.
// qkv [T, qkv_columns] after RoPE. Only the last position's queries are read.
void attention_last(Context&, Tensor o, Tensor qkv, AttentionShape shape);
// dqkv = gradient of qkv (after RoPE)
struct AttentionBackwardArgs {
    Tensor dqkv;         // [T, qkv_columns]; must not be qkv
    Tensor d_o;          // [T, heads·head_dim] gradient of o
    Tensor o, lse, qkv;  // of the forward pass
    AttentionShape shape;
    Tensor segment_begin = {};
};
void attention_backward(Context&, const AttentionBackwardArgs&);

// ---- feed-forward --------------------------------------------------------------------------------------------------

// act = silu(gate) ⊙ up        act [T,F]   gate_up [T,2F] = [gate | up]
void swiglu(Context&, Tensor act, Tensor gate_up);
// dgate_up = [dact ⊙ up ⊙ silu'(gate) | dact ⊙ silu(gate)]        dgate_up [T,2F] may be gate_up   dact [T,F]
void swiglu_backward(Context&, Tensor dgate_up, Tensor dact, Tensor gate_up);

// ---- loss ----------------------------------------------------------------------------------------------------------

// Vocabulary-parallel cross entropy. Per token, over the columns that this rank holds:
//   stats[t] = (max, Σ exp(logit - max), logit of the label, or 0 if another rank holds the label's column)
// stats [T,3] fp32   logits [T,V'] fp32: columns [first_column, first_column + V') of the vocabulary
// labels [T] int32; -1: the token does not count in the loss
void cross_entropy_stats(Context&, Tensor stats, Tensor logits, Tensor labels, std::int64_t first_column);
// stats = statistics over all columns, from the stats of P ranks       stats [T,3] fp32   parts [P,T,3] fp32, by rank
void cross_entropy_combine(Context&, Tensor stats, Tensor parts);
// sum += Σ over labels ≠ -1 of max + log(Σ exp(logit - max)) - logit of the label     sum [1] fp64   stats [T,3] fp32
void cross_entropy_loss(Context&, Tensor sum, Tensor stats, Tensor labels);
// losses[t] = max + log(Σ exp(logit - max)) - logit of the label; 0 for label -1      losses [T] fp64   stats [T,3] fp32
void cross_entropy_token_losses(Context&, Tensor losses, Tensor stats, Tensor labels);
// dlogits = (softmax - onehot(label)) · factor; rows with label -1 become 0
struct CrossEntropyBackwardArgs {
    Tensor dlogits;  // [T,V'] fp32 (may be logits) or bf16
    Tensor logits;   // [T,V'] fp32
    Tensor stats;    // [T,3] fp32, over all columns
    Tensor labels;   // [T] int32; -1: no label
    std::int64_t first_column = 0;
    float factor = 1.0F;
};
void cross_entropy_backward(Context&, const CrossEntropyBackwardArgs&);

// ---- optimizer, and operations on all elements of tensors of any shape ---------------------------------------------

// AdamW (decoupled weight decay, arXiv 1711.05101 alg. 2) with g = gradient · factor:
//   m = β₁ m + (1-β₁) g;  v = β₂ v + (1-β₂) g²;  w -= lr · (m̂ / (√v̂ + ε) + decay · w),  m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ)
struct AdamwStep {
    double learning_rate = 0.0;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    std::int64_t step = 1;  // t, from 1
    Tensor taken;           // [1] fp64; 0: the step is skipped, nothing is written. Absent: the step is taken.
};
// One parameter shard. w (master weights), m, v and gradient are fp32 and have equal numbers of elements; w, m and v
// are updated. compute (=): bf16 copy of w for the forward pass, rounded to nearest. Absent: the forward pass reads w.
// factor [1] fp64, rounded to fp32 before use; absent: 1.
struct AdamwPiece {
    Tensor w, m, v, compute, gradient;
    double weight_decay = 0.0;
    Tensor factor;
};
void adamw(Context&, std::span<const AdamwPiece> pieces, const AdamwStep& step);
// sum += Σ x² over all elements of all tensors, in blocks that depend on the shapes alone        sum [1] fp64
void squared_norm(Context&, Tensor sum, std::span<const Tensor> xs);
// A rank's terms of the step's all-reduced sums:
//   own  = factor · loss
//   sums = (counted ? own : 0,  tokens,  squares[0] + squares[1],  squares[1])
// squares: Σ of squared gradients of [0] all parameters but gates, [1] gates
// own, loss [1]   squares [2]   sums [4]; all fp64
struct StepTerms {
    double factor = 1.0;
    bool counted = true;  // false: another rank contributes this loss
    double tokens = 0.0;
};
void step_sums(Context&, Tensor sums, Tensor own, Tensor loss, Tensor squares, const StepTerms& terms);
// Conditions for taking a step's update, and limits for clipping its gradient.
struct UpdateRule {
    double divisor = 0.0;                // divides the summed gradient; 0: max(1, number of tokens)
    double clip = 0.0, gate_clip = 0.0;  // largest norm of all gradients, and of the gates' gradients; 0: no limit
    double most_loss = std::numeric_limits<double>::infinity();           // the update is skipped if the loss is above
    double most_gradient_norm = std::numeric_limits<double>::infinity();  // … if the gradient norm is above
    bool allowed = true;                                                  // false: the update is skipped
};
// The decision on an update. On the device it is a tensor [update_numbers] fp64 of these fields in this order.
struct UpdateDecision {
    double loss = 0.0;                                     // sums[0] / max(1, tokens)
    double gradient_norm = 0.0, gate_gradient_norm = 0.0;  // √sums[2] / divisor, √sums[3] / divisor
    double clip = 1.0, gate_clip = 1.0;  // min(1, limit / (norm + 1e-6)); gate_clip: norm = clip · gate_gradient_norm
    double factor = 1.0, gate_factor = 1.0;  // multiply the summed gradients of all other parameters, and of gates
    double taken = 0.0;  // 1: rule.allowed, tokens > 0, and loss and gradient norm are finite and within the limits
};
inline constexpr std::int64_t update_numbers = std::int64_t(sizeof(UpdateDecision) / sizeof(double));
// decision = UpdateDecision for the sums of all ranks       decision [update_numbers], sums [4] (see step_sums) fp64
void decide_update(Context&, Tensor decision, Tensor sums, const UpdateRule& rule);
// Index of the first NaN or Inf; -1 if all elements are finite. On a GPU the call waits for the result.
std::int64_t first_non_finite(Context&, Tensor x);
// Σ of fingerprint_term(index, bits of the element) over x, modulo 2^64. It is the same on every device and for any
// number of threads. It differs if one element of x differs in any bit. On a GPU the call waits for the result.
std::uint64_t fingerprint(Context&, Tensor x);
// y = x, rounded to y's dtype; each of x and y is fp32 or bf16
void cast(Context&, Tensor y, Tensor x);
// x = value
void fill(Context&, Tensor x, float value);
// y = factor · y
void scale(Context&, Tensor y, float factor);
// x[i] = sample of N(0, std²) number first_element + i of the random sequence `key`, x fp32. Because the generator is
// counter-based, a shard gets the values that the whole tensor would have there, for any parallel layout.
// Philox4x32-10 (Salmon et al. 2011), Box-Muller. Drawn on the host for every device.
void fill_normal(Context&, Tensor x, std::uint64_t key, std::int64_t first_element, float stddev);

// x = 0, x of any dtype
void clear(Context&, Tensor x);
// y = x. Each of x and y is in host or device memory; their dtypes and numbers of elements are equal. If either is in
// host memory, the host may read and overwrite that memory once the call returns. A copy within a GPU is enqueued.
void copy(Context&, Tensor y, Tensor x);

// ---- the device ----------------------------------------------------------------------------------------------------

// Whether the device has instructions for matrix products of this dtype (bf16 on a CPU: AVX-512 or later). If not, bf16
// matrices are widened to fp32 before the product: the sums are the same, the speed is at most that of fp32.
bool has_native_products(Device device, Dtype dtype);
// Memory of the chosen GPU, or of the machine if the device is the CPU.
std::int64_t device_memory_bytes(Device device);

// ---- scratch -------------------------------------------------------------------------------------------------------

// For planning: upper bound of what one call of any operation takes from context.scratch().
struct ScratchShape {
    std::int64_t tokens = 0;   // rows of the largest activation
    std::int64_t columns = 0;  // of the widest activation (hidden, feed-forward, qkv)
    std::int64_t vocabulary = 0;
    AttentionShape attention;
    Dtype dtype = Dtype::fp32;
    int threads = 1;
    Device device = Device::cpu;
};
std::int64_t scratch_bytes(const ScratchShape& shape);

}  // namespace gpas
