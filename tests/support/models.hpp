// Small models with all features, for tests of the engine against the reference implementation.
#pragma once

#include "engine/model/model.hpp"
#include "engine/step/replica.hpp"
#include "kernels/philox.hpp"
#include "tests/reference/model.hpp"
#include "tests/support/test_device.hpp"

#include <string>
#include <vector>

namespace gpas::testing_models {

inline const std::vector<Architecture>& all_architectures() {
    static const std::vector<Architecture> all{
        Architecture::post,          Architecture::deeppost,      Architecture::pre,           Architecture::sandwich,
        Architecture::post_pre,      Architecture::lns,           Architecture::pre_gpas,      Architecture::lns_gpas,
        Architecture::sandwich_gpas, Architecture::deeppost_gpas, Architecture::post_pre_gpas, Architecture::post_gpas,
        Architecture::reordered,     Architecture::reordered_gpas};
    return all;
}

// The sizes are deliberately not multiples of a vector's width.
inline ModelConfig small_model(Architecture architecture) {
    ModelConfig model;
    model.architecture = architecture;
    model.vocab_size = 23;
    model.hidden_size = 12;
    model.ffn_size = 7;
    model.layers = 3;
    model.heads = 4;
    model.kv_heads = 2;
    model.head_dim = 6;
    model.mix_post_layers = 1;
    return model;
}

// The model with each kind of QK-norm, with all biases or only those of queries, keys and values.
inline std::vector<ModelConfig> with_biases_and_qk_norms(ModelConfig model) {
    std::vector<ModelConfig> all;
    for (const QkNormKind norm : {QkNormKind::none, QkNormKind::head, QkNormKind::projection}) {
        model.qk_norm = norm;
        model.qkv_bias = true;
        model.output_bias = model.mlp_bias = norm != QkNormKind::head;
        all.push_back(model);
    }
    return all;
}

// A number in [-1, 1) that depends only on the tensor's name and the element's index.
inline double scattered(const std::string& name, std::int64_t element) {
    std::uint32_t key = 2166136261U;
    for (const char c : name) key = (key ^ std::uint32_t(static_cast<unsigned char>(c))) * 16777619U;
    const Philox4 words = philox({std::uint32_t(element), 0, 0, 0}, key, 7);
    return double(words[0]) / 2147483648.0 - 1.0;
}

// Weights for which all terms matter: gates differ from 0, norm weights differ from 1. Values are exact in bf16, and
// therefore in fp32.
inline double test_weight(const ParameterSpec& spec, std::int64_t element) {
    const double r = scattered(spec.name, element);
    double value = 0.4 * r;
    if (spec.kind == ParameterKind::norm) value = 1.0 + 0.3 * r;
    if (spec.kind == ParameterKind::gate) value = 0.35 + 0.3 * r;
    return double(float(bf16(float(value))));
}

inline reference::Rows test_rows(const ModelConfig& model, std::int64_t batch, std::int64_t sequence, bool documents) {
    reference::Rows rows{.batch = batch, .sequence = sequence};
    for (std::int64_t t = 0; t < sequence; ++t)
        for (std::int64_t b = 0; b < batch; ++b) {
            const std::int64_t i = t * batch + b;
            rows.tokens.push_back(std::int32_t((scattered("tokens", i) + 1.0) / 2.0 * double(model.vocab_size)));
            rows.labels.push_back(
                i % 5 == 3 ? -1 : std::int32_t((scattered("labels", i) + 1.0) / 2.0 * double(model.vocab_size)));
            rows.segment_begin.push_back(documents && t >= 2 + b ? std::int32_t(2 + b) : 0);
        }
    return rows;
}

inline reference::Model reference_model(const ModelConfig& model) {
    reference::Model reference(model);
    for (const ParameterSpec& spec : parameter_specs(model, {}))
        for (std::int64_t i = 0; i < spec.elements(); ++i) reference.weights[spec.name].push_back(test_weight(spec, i));
    return reference;
}

inline void set_test_weights(Replica& replica) {
    for (std::size_t p = 0; p < replica.store.specs().size(); ++p) {
        const Tensor master = replica.store.master(p);
        std::vector<float> w(std::size_t(master.elements()), 0.0F);
        const ParameterSlab& slab = replica.store.slab(p);
        for_each_stored_run(slab, {0, slab.elements}, [&](Range run, std::int64_t stored) {
            for (std::int64_t i = run.begin; i < run.end; ++i)
                w[std::size_t(stored + i - run.begin)] = float(test_weight(replica.store.specs()[p], i));
        });
        copy(replica.context, master, Tensor(w.data(), Dtype::fp32, {master.elements()}));
    }
    publish_weights(replica.context, replica.store, replica.data_group());
}

// A whole model on one rank, on the device under test.
class TestReplica {
public:
    TestReplica(const ModelConfig& config, const ModelShape& shape, int threads)
        : self_(make_self_communicator()), replica_(on_test_device(config, shape, threads), *self_, *self_) {
        set_test_weights(replica_);
    }
    Replica& operator*() { return replica_; }
    Replica* operator->() { return &replica_; }

private:
    static ReplicaShape on_test_device(const ModelConfig& config, const ModelShape& shape, int threads) {
        ReplicaShape all = whole_replica(config, OptimizerConfig{}, shape, threads);
        place_on(all, test_support::test_device);
        return all;
    }
    std::unique_ptr<Communicator> self_;
    Replica replica_;
};

// The values of an fp32 tensor of the replica, copied to the host.
inline std::vector<float> values_of(Replica& replica, const Tensor& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    copy(replica.context, Tensor(values.data(), Dtype::fp32, {tensor.elements()}), tensor);
    return values;
}

// The gradient of parameter i, without padding.
inline std::vector<float> gradient_of(Replica& replica, std::size_t i) {
    const std::vector<float> stored = values_of(replica, replica.store.gradient(i));
    const ParameterSlab& slab = replica.store.slab(i);
    std::vector<float> values;
    for_each_stored_run(slab, {0, slab.elements}, [&](Range run, std::int64_t at) {
        values.insert(values.end(), stored.begin() + at, stored.begin() + at + run.size());
    });
    return values;
}

inline TokenRows rows_of(reference::Rows& rows) {
    const std::int64_t tokens = std::int64_t(rows.tokens.size());
    return {.tokens = Tensor(rows.tokens.data(), Dtype::int32, {tokens}),
            .labels = Tensor(rows.labels.data(), Dtype::int32, {tokens}),
            .segment_begin = Tensor(rows.segment_begin.data(), Dtype::int32, {tokens})};
}

// |a - b| / |b| over a tensor (L2)
template <class A, class B>
double relative_difference(const A& a, const B& b, std::size_t count) {
    double difference = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
        difference += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
        size += double(b[i]) * double(b[i]);
    }
    return size == 0.0 ? std::sqrt(difference) : std::sqrt(difference / size);
}

}  // namespace gpas::testing_models
