#include "base/error.hpp"
#include "engine/model/parameters.hpp"
#include "io/config/architecture.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gpas {
namespace {

// Standard deviations of the initial weights: N(0, init_std), or DeepNorm's Xavier normal (gain 1 for query and key,
// (8L)^(-1/4) for the rest) if the architecture has it.
struct WeightInit {
    explicit WeightInit(const ModelConfig& config) : model(config) {}

    double fan(double gain, std::int64_t in, std::int64_t out) const {
        return gain * std::sqrt(2.0 / double(in + out));
    }
    bool xavier() const { return has_deepnorm_init(model.architecture); }
    double beta() const { return std::pow(8.0 * double(model.layers), -0.25); }

    std::vector<double> qkv() const {
        const std::int64_t groups = heads_of_kv(model);
        const std::int64_t queries = model.heads / groups;
        std::vector<double> stddev(std::size_t(queries + 2), model.init_std);
        if (!xavier()) return stddev;
        const std::int64_t hidden = model.hidden_size;
        const std::int64_t kv_rows = groups * head_dim(model);
        stddev.assign(stddev.size(), fan(1.0, hidden, model.heads * head_dim(model)));
        stddev[stddev.size() - 2] = fan(1.0, hidden, kv_rows);
        stddev[stddev.size() - 1] = fan(beta(), hidden, kv_rows);
        return stddev;
    }
    std::vector<double> gate_up() const {
        return {xavier() ? fan(beta(), model.hidden_size, model.ffn_size) : model.init_std};
    }
    std::vector<double> output(std::int64_t in) const {
        if (xavier()) return {fan(beta(), in, model.hidden_size)};
        const bool scaled = model.output_init == OutputInit::scaled;
        return {scaled ? model.init_std / std::sqrt(2.0 * double(model.layers)) : model.init_std};
    }
    std::vector<double> embedding() const {
        return {model.embedding_init == EmbeddingInit::scaled ? std::sqrt(2.0 / 5.0) : model.init_std};
    }

    const ModelConfig& model;
};

class SpecList {
public:
    SpecList(const ModelConfig& model, const OptimizerConfig& optimizer) : model_(model), optimizer_(optimizer) {}

    void matrix(const std::string& name, std::vector<std::int64_t> shape, int tensor_axis, std::vector<double> stddev) {
        add({.name = name,
             .shape = std::move(shape),
             .tensor_axis = tensor_axis,
             .decayed = true,
             .initialiser = {.stddev = std::move(stddev)}});
    }
    // A matrix that tensor parallelism slices along its feed-forward axis, which is axis 1.
    void ffn_matrix(const std::string& name, std::vector<std::int64_t> shape, std::vector<double> stddev) {
        add({.name = name,
             .shape = std::move(shape),
             .tensor_axis = 1,
             .decayed = true,
             .padded = true,
             .initialiser = {.stddev = std::move(stddev)}});
    }
    // Biases start at 0 and are not decayed. tensor_axis: -1 for the bias of a row-parallel product, which every rank
    // adds after the sum over the tensor-parallel ranks.
    void bias(const std::string& name, std::vector<std::int64_t> shape, int tensor_axis, bool padded = false) {
        add({.name = name,
             .shape = std::move(shape),
             .kind = ParameterKind::bias,
             .tensor_axis = tensor_axis,
             .padded = padded});
    }
    void embedding(const std::string& name, std::vector<double> stddev) {
        add({.name = name,
             .shape = {model_.vocab_size, model_.hidden_size},
             .kind = ParameterKind::embedding,
             .tensor_axis = 0,
             .decayed = optimizer_.decay_embeddings,
             .initialiser = {.stddev = std::move(stddev)}});
    }
    void norm(const std::string& name, double value) { norm(name, {model_.hidden_size}, value); }
    void norm(const std::string& name, std::vector<std::int64_t> shape, double value) {
        add({.name = name,
             .shape = std::move(shape),
             .kind = ParameterKind::norm,
             .decayed = optimizer_.decay_norms,
             .initialiser = {.constant = value}});
    }
    // groups: key/value heads
    void qk_norm(const std::string& prefix, std::int64_t groups) {
        const std::int64_t dim = head_dim(model_), queries = model_.heads / groups;
        if (model_.qk_norm == QkNormKind::none) return;
        const bool head = model_.qk_norm == QkNormKind::head;
        using Shape = std::vector<std::int64_t>;
        const std::pair<const char*, Shape> weights[] = {
            {"q_norm.weight", head ? Shape{dim} : Shape{groups, queries, dim}},
            {"k_norm.weight", head ? Shape{dim} : Shape{groups, dim}}};
        for (const auto& [name, shape] : weights) {
            norm(prefix + name, shape, 1.0);
            specs.back().tensor_axis = head ? -1 : 0;
            specs.back().shared_by_heads = head;
        }
    }
    void gate(const std::string& name) {
        add({.name = name,
             .shape = {1},
             .kind = ParameterKind::gate,
             .trainable = !model_.gate.frozen,
             .initialiser = {.constant = model_.gate.init}});
    }
    void norms(const std::string& site, const ResidualRow& row) {
        if (row.pre_norm) norm(site + "pre_norm.weight", row.norm_init);
        if (row.branch_norm) norm(site + "branch_norm.weight", 1.0);
        if (row.sum_norm) norm(site + "sum_norm.weight", 1.0);
        if (row.gate != GatePlace::none && model_.gate.per_sublayer) gate(site + "gate");
    }

    std::int64_t layer = -1;
    std::vector<ParameterSpec> specs;

private:
    void add(ParameterSpec spec) {
        spec.layer = layer;
        specs.push_back(std::move(spec));
    }

    const ModelConfig& model_;
    const OptimizerConfig& optimizer_;
};

void add_attention(SpecList& list, const ModelConfig& model, const WeightInit& init, const std::string& prefix) {
    const std::int64_t groups = heads_of_kv(model), dim = head_dim(model), hidden = model.hidden_size;
    const std::int64_t slots = model.heads / groups + 2, width = model.heads * dim;
    list.matrix(prefix + "qkv.weight", {groups, slots, dim, hidden}, 0, init.qkv());
    if (model.qkv_bias) list.bias(prefix + "qkv.bias", {groups, slots, dim}, 0);
    list.qk_norm(prefix, groups);
    list.matrix(prefix + "out.weight", {hidden, width}, 1, init.output(width));
    if (model.output_bias) list.bias(prefix + "out.bias", {hidden}, -1);
}

void add_layer(SpecList& list, const ModelConfig& model, const WeightInit& init, std::int64_t layer) {
    const ResidualRow row = residual_row(model, layer);
    const std::string prefix = fmt::format("layers.{}.", layer);
    const std::int64_t hidden = model.hidden_size;

    list.layer = layer;
    if (row.gate != GatePlace::none && !model.gate.per_sublayer) list.gate(prefix + "gate");
    list.norms(prefix + "attention.", row);
    add_attention(list, model, init, prefix + "attention.");
    list.norms(prefix + "mlp.", row);
    list.ffn_matrix(prefix + "mlp.gate_up.weight", {2, model.ffn_size, hidden}, init.gate_up());
    if (model.mlp_bias) list.bias(prefix + "mlp.gate_up.bias", {2, model.ffn_size}, 1, true);
    list.ffn_matrix(prefix + "mlp.down.weight", {hidden, model.ffn_size}, init.output(model.ffn_size));
    if (model.mlp_bias) list.bias(prefix + "mlp.down.bias", {hidden}, -1);
}

}  // namespace

std::int64_t ParameterSpec::elements() const {
    std::int64_t count = 1;
    for (std::int64_t dim : shape) count *= dim;
    return count;
}

std::int64_t heads_of_kv(const ModelConfig& model) { return model.kv_heads > 0 ? model.kv_heads : model.heads; }

std::int64_t head_dim(const ModelConfig& model) {
    return model.head_dim > 0 ? model.head_dim : model.hidden_size / model.heads;
}

ModelPart whole_model(const ModelConfig& model) { return {.layers = {0, model.layers}}; }

std::vector<ParameterSpec> parameter_specs(const ModelConfig& model, const OptimizerConfig& optimizer) {
    return parameter_specs(model, optimizer, {whole_model(model)});
}

std::vector<ParameterSpec> parameter_specs(const ModelConfig& model, const OptimizerConfig& optimizer,
                                           const std::vector<ModelPart>& parts) {
    const WeightInit init(model);
    SpecList list(model, optimizer);
    const bool embeds = std::ranges::any_of(parts, &ModelPart::embedding);
    const bool heads = std::ranges::any_of(parts, &ModelPart::head);
    for (const ModelPart& part : parts) {
        const bool copy = part.head && !embeds && model.tied_embeddings;
        list.layer = -1;
        if (part.embedding || copy) {
            list.embedding("embedding.weight", init.embedding());
            list.specs.back().copy = copy;
            list.specs.back().shared = copy || (model.tied_embeddings && !heads);
        }
        for (std::int64_t layer = part.layers.begin; layer < part.layers.end; ++layer)
            add_layer(list, model, init, layer);
        if (!part.head) continue;
        list.layer = model.layers;
        list.norm("final_norm.weight", 1.0);
        if (!model.tied_embeddings) list.embedding("head.weight", {model.init_std});
    }
    return std::move(list.specs);
}

std::int64_t parameter_count(const ModelConfig& model) {
    std::int64_t count = 0;
    for (const ParameterSpec& spec : parameter_specs(model, {})) count += spec.elements();
    return count;
}

}  // namespace gpas
