// Every operation that a backend implements, once. Signature and contract of each: kernels/ops.hpp. Definitions: the
// two files named above its group. kernels/backend.hpp includes this list.

// cpu/matmul.cpp, cuda/matmul.cpp
OPERATION(matmul)
OPERATION(matmul_dx)
OPERATION(matmul_dw)

// cpu/bias.cpp, cuda/bias.cu
OPERATION(add_bias)
OPERATION(bias_gradient)

// cpu/feed_forward.cpp, cuda/feed_forward.cu
OPERATION(embedding)
OPERATION(embedding_backward)
OPERATION(swiglu)
OPERATION(swiglu_backward)

// cpu/residual.cpp, cuda/residual.cu
OPERATION(rmsnorm)
OPERATION(rmsnorm_replay)
OPERATION(residual)
OPERATION(rmsnorm_backward)
OPERATION(residual_backward)
OPERATION(apply_gate)

// cpu/residual.cpp, cuda/moments.cu
OPERATION(moments)

// cpu/rope.cpp, cuda/rope.cu
OPERATION(rope)

// cpu/qk_norm.cpp, cuda/qk_norm.cu
OPERATION(qk_squares)
OPERATION(qk_norm)
OPERATION(qk_dots)
OPERATION(qk_norm_backward)

// cpu/attention.cpp, cuda/attention.cu
OPERATION(attention)
OPERATION(attention_last)
OPERATION(attention_backward)

// cpu/loss.cpp, cuda/loss.cu
OPERATION(cross_entropy_stats)
OPERATION(cross_entropy_combine)
OPERATION(cross_entropy_loss)
OPERATION(cross_entropy_token_losses)
OPERATION(cross_entropy_backward)

// cpu/update.cpp, cuda/update.cu
OPERATION(step_sums)
OPERATION(decide_update)

// cpu/flat.cpp, cuda/flat.cu
OPERATION(adamw)
OPERATION(squared_norm)
OPERATION(first_non_finite)
OPERATION(fingerprint)
OPERATION(cast)
OPERATION(fill)
OPERATION(scale)
