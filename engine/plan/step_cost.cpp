#include "engine/plan/step_cost.hpp"

#include "io/config/architecture.hpp"
#include "io/metrics/flops.hpp"

#include <algorithm>

namespace gpas {
namespace {

class Work {
public:
    Work(const DeviceSpeed& speed, double element_bytes) : speed_(speed), element_bytes_(element_bytes) {}

    // y [m,n] = x [m,k] w [k,n]. output_bytes: per element of y.
    void product(double m, double n, double k, double output_bytes) {
        if (m * n * k == 0.0) return;
        constexpr double tile = 128.0 * 256.0, split_depth = 1024.0;  // longer sums are split over several tiles
        const double tiles = m * n / tile * std::max(1.0, k / split_depth);
        const double idle = std::max(1.0, speed_.product_tiles / std::max(1.0, tiles));
        const double computing =
            2.0 * m * n * idle * (k + speed_.product_depth) / (speed_.product_flops * speed_.sustained);
        const double moving = ((m * k + k * n) * element_bytes_ + m * n * output_bytes) / speed_.copy_bytes;
        (computing > moving ? seconds_.compute : seconds_.memory) += std::max(computing, moving);
        seconds_.memory += speed_.launch_seconds;
    }
    void product(double m, double n, double k) { product(m, n, k, element_bytes_); }
    // dw [n,k] fp32 += dyᵀ x, with dy [m,n], x [m,k].
    void weight_gradient(double m, double n, double k) {
        product(n, k, m, 0.0);
        seconds_.memory += n * k * 8.0 / speed_.copy_bytes;
    }
    // keys: that a query attends to, on average. edges: diagonals at which tiles are computed whole and masked.
    void attention(double operations, const double (&rates)[2], double head_dim, double keys, double edges) {
        const double rate = rates[0] + (rates[1] - rates[0]) * (std::clamp(head_dim, 32.0, 128.0) - 64.0) / 64.0;
        seconds_.compute += operations * (1.0 + 0.5 * edges * speed_.attention_tile / keys) / (rate * speed_.sustained);
        seconds_.memory += speed_.launch_seconds;
    }
    void move(double bytes, double share) {
        seconds_.memory += bytes / (share * speed_.copy_bytes) + speed_.launch_seconds;
    }
    void message(double seconds) { seconds_.tensor += seconds; }
    WorkSeconds take() const { return seconds_; }

private:
    const DeviceSpeed& speed_;
    double element_bytes_;
    WorkSeconds seconds_;
};

// The operations of a part of the model, in the order of attention.cpp, mlp.cpp, residual_site.cpp and head.cpp, with
// the sizes of the rank's tensors (in elements; stream_ and element_ in bytes).
class PartWork {
public:
    PartWork(const ModelConfig& model, const ModelShape& shape, const DeviceSpeed& speed, double message)
        : model_(model),
          shape_(shape),
          speed_(speed),
          attention_(attention_shape(model, shape)),
          tokens_(double(shape.tokens())),
          hidden_(double(model.hidden_size)),
          stream_(double(shape.rows()) * double(model.hidden_size) * double(bytes_per_element(shape.dtype))),
          element_(double(bytes_per_element(shape.dtype))),
          width_(double(attention_.heads * attention_.head_dim)),
          qkv_(double(attention_.qkv_columns())),
          ffn_(double(ffn_columns(model, shape))),
          vocabulary_(double(vocabulary_rows(model, shape).size())),
          message_(shape.tensor_size > 1 ? message : 0.0) {}

    PartSeconds of(const ModelPart& part) {
        PartSeconds sum;
        for (std::int64_t layer = part.layers.begin; layer < part.layers.end; ++layer) {
            sum.forward += seconds([&](Work& work) { layer_forward(work, layer); });
            sum.backward_input += seconds([&](Work& work) { layer_backward_input(work, layer); });
            sum.backward_weight += seconds([&](Work& work) { layer_backward_weight(work); });
        }
        if (part.embedding) {
            sum.forward += seconds([&](Work& work) { embedding(work); });
            sum.backward_input += seconds([&](Work& work) { embedding_backward(work); });
        }
        // The head computes forward, loss and backward of each chunk of logits together, in the backward action.
        if (part.head) sum.backward_input += seconds([&](Work& work) { head(work); });
        return sum;
    }

private:
    template <class Function>
    WorkSeconds seconds(Function&& function) {
        Work work(speed_, element_);
        function(work);
        return work.take();
    }

    // Messages of gather_into and reduce_from. Without sequence parallelism a gather moves nothing, and a reduction is
    // an all-reduce, which takes as long as two messages.
    void gather(Work& work) const { work.message(shape_.sequence_parallel ? message_ : 0.0); }
    void reduce(Work& work) const { work.message(shape_.sequence_parallel ? message_ : 2.0 * message_); }

    void attention_inner(Work& work) const {
        gather(work);
        work.product(tokens_, qkv_, hidden_);
        elements(work, model_.qkv_bias, 2.0, tokens_ * qkv_);
        elements(work, model_.qk_norm != QkNormKind::none, 4.0, rotated());
        rope(work);
        attention(work, 1.0, speed_.attention_forward);
    }
    // forwards: operations as a multiple of those of the forward pass.
    void attention(Work& work, double forwards, const double (&rates)[2]) const {
        const double keys = keys_per_position(model_, shape_.sequence);
        const double edges = attention_.window > 0 ? 2.0 : 1.0;  // the causal one, and the window's
        work.attention(forwards * 4.0 * tokens_ * keys * width_, rates, double(attention_.head_dim), keys, edges);
    }
    double rotated() const { return tokens_ * double((attention_.heads + attention_.kv_heads) * attention_.head_dim); }
    void rope(Work& work) const { work.move(2.0 * rotated() * element_, speed_.shares.rope); }
    // Passes over the elements of a tensor by operations that the model may lack: biases and QK-norm.
    void elements(Work& work, bool present, double passes, double count) const {
        if (present) work.move(passes * count * element_, speed_.shares.rope);
    }
    void mlp_inner(Work& work) const {
        gather(work);
        work.product(tokens_, 2.0 * ffn_, hidden_);
        elements(work, model_.mlp_bias, 2.0, tokens_ * 2.0 * ffn_);
    }
    void swiglu(Work& work, double passes) const {
        work.move(passes * tokens_ * ffn_ * element_, speed_.shares.swiglu);
    }
    // ResidualSite::leave: the norm on the branch, then the sum in one pass with the next norm. Without a next norm, the
    // next sub-layer reads the gated stream, which a pass of its own writes.
    void leave(Work& work, const ResidualRow& row) const {
        if (row.branch_norm) work.move(2.0 * stream_, speed_.shares.rmsnorm);
        const bool norm_of_sum = row.pre_norm || row.sum_norm;
        work.move((norm_of_sum ? 4.0 : 3.0) * stream_, speed_.shares.residual_rmsnorm);
        if (!norm_of_sum) replay(work, row);
    }
    void leave_backward(Work& work, const ResidualRow& row) const {
        if (row.sum_norm) work.move(3.0 * stream_, speed_.shares.rmsnorm_backward);
        if (row.branch_norm) work.move(3.0 * stream_, speed_.shares.rmsnorm_backward);
    }
    void replay(Work& work, const ResidualRow& row) const {
        if (row.pre_norm || row.gate == GatePlace::sum) work.move(2.0 * stream_, speed_.shares.rmsnorm);
    }

    void layer_forward(Work& work, std::int64_t layer) const {
        const ResidualRow row = residual_row(model_, layer);
        attention_inner(work);
        work.product(tokens_, hidden_, width_);
        reduce(work);
        elements(work, model_.output_bias, 2.0, stream_ / element_);
        leave(work, row);
        mlp_inner(work);
        swiglu(work, 3.0);
        work.product(tokens_, hidden_, ffn_);
        reduce(work);
        elements(work, model_.mlp_bias, 2.0, stream_ / element_);
        leave(work, row);
    }
    void layer_backward_input(Work& work, std::int64_t layer) const {
        const ResidualRow row = residual_row(model_, layer);
        if (shape_.recompute == Recompute::full) layer_forward(work, layer);
        const bool again = shape_.recompute == Recompute::selective;
        leave_backward(work, row);
        replay(work, row);
        if (again) mlp_inner(work);
        swiglu(work, 3.0);
        gather(work);
        work.product(tokens_, ffn_, hidden_);
        swiglu(work, 5.0);
        work.product(tokens_, hidden_, 2.0 * ffn_);
        reduce(work);
        work.move(4.0 * stream_, speed_.shares.rmsnorm_backward);
        leave_backward(work, row);
        replay(work, row);
        if (again) attention_inner(work);
        gather(work);
        work.product(tokens_, width_, hidden_);
        attention(work, 2.5, speed_.attention_backward);
        rope(work);
        elements(work, model_.qk_norm != QkNormKind::none, 5.0, rotated());
        work.product(tokens_, hidden_, qkv_);
        reduce(work);
        work.move(4.0 * stream_, speed_.shares.rmsnorm_backward);
        if (shape_.split_backward) work.move(4.0 * stream_, 1.0);  // copies of db, kept for backward_weight
    }
    void layer_backward_weight(Work& work) const {
        for (int branch = 0; branch < 2; ++branch) {
            gather(work);
            if (!shape_.split_backward) continue;
            gather(work);
            work.move(2.0 * stream_, speed_.shares.rmsnorm);
        }
        work.weight_gradient(tokens_, hidden_, ffn_);
        work.weight_gradient(tokens_, 2.0 * ffn_, hidden_);
        work.weight_gradient(tokens_, hidden_, width_);
        work.weight_gradient(tokens_, qkv_, hidden_);
        elements(work, model_.qkv_bias, 1.0, tokens_ * qkv_);
        elements(work, model_.output_bias, 1.0, stream_ / element_);
        elements(work, model_.mlp_bias, 1.0, tokens_ * 2.0 * ffn_ + stream_ / element_);
    }
    void embedding(Work& work) const {
        work.move(2.0 * tokens_ * hidden_ * element_, speed_.shares.embedding);
        reduce(work);
    }
    void embedding_backward(Work& work) const {
        work.move(tokens_ * hidden_ * (element_ + 8.0), speed_.shares.embedding_backward);
        gather(work);
    }
    void head(Work& work) const {
        gather(work);
        const double chunk = std::min(double(shape_.head_chunk), tokens_);
        for (double begin = 0.0; begin < tokens_; begin += chunk) {
            const double rows = std::min(chunk, tokens_ - begin);
            const double logits = rows * vocabulary_;
            work.product(rows, vocabulary_, hidden_, sizeof(float));
            work.move(logits * sizeof(float), speed_.shares.cross_entropy);
            work.move(logits * (sizeof(float) + element_), speed_.shares.cross_entropy);
            work.weight_gradient(rows, vocabulary_, hidden_);
            work.product(rows, hidden_, vocabulary_);
        }
        reduce(work);
        work.move(4.0 * stream_, speed_.shares.rmsnorm_backward);  // the final norm
    }

    const ModelConfig& model_;
    const ModelShape& shape_;
    const DeviceSpeed& speed_;
    AttentionShape attention_;
    double tokens_, hidden_, stream_, element_, width_, qkv_, ffn_, vocabulary_;
    double message_;
};

}  // namespace

WorkSeconds& WorkSeconds::operator+=(const WorkSeconds& other) {
    compute += other.compute;
    memory += other.memory;
    tensor += other.tensor;
    return *this;
}

PartSeconds part_seconds(const ModelConfig& model, const ModelPart& part, const ModelShape& shape,
                         const DeviceSpeed& speed, double tensor_message) {
    return PartWork(model, shape, speed, tensor_message).of(part);
}

WorkSeconds update_seconds(double gradients, double owned, bool bf16, const DeviceSpeed& speed) {
    const double zero = 4.0 * gradients, norm = 4.0 * owned;
    const double adamw = (bf16 ? 30.0 : 28.0) * owned;  // reads w, m, v, gradient; writes w, m, v and the bf16 copy
    const double bytes = speed.shares.optimizer * speed.copy_bytes;
    return {.memory = (zero + norm + adamw) / bytes + speed.step_seconds};
}

double ring_seconds(double bytes, int ranks, MessageSpeed speed) {
    if (ranks == 1 || bytes == 0.0) return 0.0;
    return bytes * (ranks - 1) / ranks / speed.bytes + (ranks - 1) * speed.latency;
}

}  // namespace gpas
