#include "engine/convert/tensors.hpp"

#include "base/error.hpp"
#include "io/config/architecture.hpp"

#include <algorithm>

namespace gpas {
namespace {

struct SiteNames {
    std::string attention, mlp;
};

// Names as in the classes of transformers (Llama; Gemma 2 for Sandwich) and of the GPAS paper's code.
SiteNames pre_norms(const ResidualRow& row) {
    return {"input_layernorm", row.branch_norm ? "pre_feedforward_layernorm" : "post_attention_layernorm"};
}
constexpr const char* after_attention = "post_attention_layernorm";
constexpr const char* after_mlp = "post_feedforward_layernorm";

class List {
public:
    explicit List(const ModelConfig& model) : model_(model) {
        for (const ParameterSpec& spec : parameter_specs(model, {})) add(spec);
    }
    std::vector<HuggingFaceTensor> tensors;

private:
    void add(const ParameterSpec& spec) {
        if (spec.name == "embedding.weight") return whole(spec, "model.embed_tokens.weight");
        if (spec.name == "head.weight") return whole(spec, "lm_head.weight");
        if (spec.name == "final_norm.weight") return whole(spec, "model.norm.weight");
        layer_ = fmt::format("model.layers.{}.", spec.layer);
        const std::string name = spec.name.substr(fmt::format("layers.{}.", spec.layer).size());
        if (spec.kind == ParameterKind::gate) return gate(spec, name);
        if (spec.kind == ParameterKind::norm) return norm(spec, name);
        const std::string kind = spec.kind == ParameterKind::bias ? ".bias" : ".weight";
        if (name == "attention.qkv" + kind) return qkv(spec, kind);
        if (name == "attention.out" + kind) return whole(spec, layer_ + "self_attn.o_proj" + kind);
        if (name == "mlp.gate_up" + kind) return gate_up(spec, kind);
        if (name == "mlp.down" + kind) return whole(spec, layer_ + "mlp.down_proj" + kind);
        fail(ExitCode::internal, "{} has no name in Hugging Face's files", spec.name);
    }
    void whole(const ParameterSpec& spec, const std::string& name) {
        tensors.push_back({name, spec.shape, spec.name, {{0, spec.elements()}}});
    }
    void gate(const ParameterSpec& spec, const std::string& name) {
        const char* site = name == "gate" ? "" : name.starts_with("attention.") ? "self_attn." : "mlp.";
        tensors.push_back({layer_ + site + "gpas_block.gate", {}, spec.name, {{0, 1}}});
    }
    void norm(const ParameterSpec& spec, const std::string& name) {
        for (const char* qk : {"q_norm.weight", "k_norm.weight"})
            if (name == fmt::format("attention.{}", qk))
                return tensors.push_back(
                    {layer_ + "self_attn." + qk, {spec.elements()}, spec.name, {{0, spec.elements()}}});
        const SiteNames pre = pre_norms(residual_row(model_, spec.layer));
        const bool attention = name.starts_with("attention.");
        const std::string is = name.ends_with(".pre_norm.weight") ? (attention ? pre.attention : pre.mlp)
                                                                  : (attention ? after_attention : after_mlp);
        whole(spec, layer_ + is + ".weight");
    }
    // [kv heads, heads/kv heads + 2, head dim, hidden]: per KV head its query heads, key, value. A bias has no last axis.
    void qkv(const ParameterSpec& spec, const std::string& kind) {
        const std::int64_t groups = spec.shape[0], queries = spec.shape[1] - 2;
        const std::vector<std::int64_t> inner(spec.shape.begin() + 3, spec.shape.end());  // hidden, or nothing
        const std::int64_t head = spec.shape[2] * (inner.empty() ? 1 : inner[0]);
        const auto rows = [&](const char* name, std::int64_t first, std::int64_t heads) {
            HuggingFaceTensor tensor{
                layer_ + "self_attn." + name + kind, {groups * heads * spec.shape[2]}, spec.name, {}};
            tensor.shape.insert(tensor.shape.end(), inner.begin(), inner.end());
            for (std::int64_t group = 0; group < groups; ++group) {
                const std::int64_t begin = (group * (queries + 2) + first) * head;
                tensor.slices.push_back({begin, begin + heads * head});
            }
            tensors.push_back(std::move(tensor));
        };
        rows("q_proj", 0, queries);
        rows("k_proj", queries, 1);
        rows("v_proj", queries + 1, 1);
    }
    void gate_up(const ParameterSpec& spec, const std::string& kind) {
        const std::int64_t half = spec.elements() / 2;
        const std::vector<std::int64_t> shape(spec.shape.begin() + 1, spec.shape.end());
        tensors.push_back({layer_ + "mlp.gate_proj" + kind, shape, spec.name, {{0, half}}});
        tensors.push_back({layer_ + "mlp.up_proj" + kind, shape, spec.name, {{half, 2 * half}}});
    }

    const ModelConfig& model_;
    std::string layer_;
};

}  // namespace

std::int64_t HuggingFaceTensor::elements() const {
    std::int64_t count = 0;
    for (const Range& slice : slices) count += slice.size();
    return count;
}

std::vector<HuggingFaceTensor> hugging_face_tensors(const ModelConfig& model) { return List(model).tensors; }

std::vector<float> taken(const HuggingFaceTensor& tensor, const std::vector<float>& parameter) {
    std::vector<float> values;
    values.reserve(std::size_t(tensor.elements()));
    for (const Range& slice : tensor.slices)
        values.insert(values.end(), parameter.begin() + slice.begin, parameter.begin() + slice.end);
    return values;
}

void put(const HuggingFaceTensor& tensor, const std::vector<float>& values, std::vector<float>& parameter) {
    auto from = values.begin();
    for (const Range& slice : tensor.slices) {
        std::copy_n(from, slice.size(), parameter.begin() + slice.begin);
        from += slice.size();
    }
}

}  // namespace gpas
