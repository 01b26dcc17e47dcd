#include "io/hugging_face/config.hpp"

#include "io/config/architecture.hpp"
#include "io/config/enum_names.hpp"
#include "io/hugging_face/config_reader.hpp"
#include "io/hugging_face/model_class.hpp"

#include <fmt/format.h>

namespace gpas {
namespace {

nlohmann::ordered_json row_object(const ModelConfig& model) {
    const Architecture row = model.architecture;
    nlohmann::ordered_json out;
    out["architecture"] = name_of(row);
    if (class_of(model) == nullptr) {
        out["qkv_bias"] = model.qkv_bias;
        out["output_bias"] = model.output_bias;
        out["mlp_bias"] = model.mlp_bias;
        out["qk_norm"] = name_of(model.qk_norm);
        if (model.sliding_window > 0) out["sliding_window"] = model.sliding_window;
    }
    if (scales_norms(row)) out["lns"] = name_of(model.lns);
    if (mixes_norms(row)) out["mix_post_layers"] = post_layers_of_mix(model);
    if (!has_gates(row)) return out;
    out["gate_function"] = name_of(model.gate.function);
    out["gate_scale"] = model.gate.scale;
    out["gate_per_sublayer"] = model.gate.per_sublayer;
    out["stop_gradient"] = model.gate.stop_gradient;
    return out;
}

nlohmann::ordered_json id_or_null(std::int64_t id) {
    return id >= 0 ? nlohmann::ordered_json(id) : nlohmann::ordered_json();
}
nlohmann::ordered_json ids_or_null(const std::vector<std::int64_t>& ids) {
    return ids.size() > 1 ? nlohmann::ordered_json(ids) : id_or_null(ids.empty() ? -1 : ids.front());
}

// The keys of biases and windows that the class has.
void write_class_keys(nlohmann::ordered_json& out, const ModelClass& model_class, const ModelConfig& model) {
    if (model_class.has_attention_bias) out["attention_bias"] = model.output_bias;
    if (model_class.has_mlp_bias) out["mlp_bias"] = model.mlp_bias;
    if (model_class.window == WindowKeys::none) return;
    const bool windowed = model.sliding_window > 0;
    out["sliding_window"] = windowed ? nlohmann::ordered_json(model.sliding_window) : nlohmann::ordered_json();
    if (model_class.window != WindowKeys::use_sliding_window) return;
    out["use_sliding_window"] = windowed;
    if (windowed) out["max_window_layers"] = 0;  // all layers
}

}  // namespace

std::string hugging_face_config_text(const HuggingFaceConfig& config, StoredDtype dtype) {
    const ModelConfig& model = config.model;
    const std::int64_t heads = model.heads;
    const ModelClass* model_class = class_of(model);
    nlohmann::ordered_json out;
    out["architectures"] = {model_class != nullptr ? model_class->name : "GpasLlamaForCausalLM"};
    out["model_type"] = model_class != nullptr ? model_class->model_type : gpas_model_type;
    out["vocab_size"] = model.vocab_size;
    out["hidden_size"] = model.hidden_size;
    out["intermediate_size"] = model.ffn_size;
    out["num_hidden_layers"] = model.layers;
    out["num_attention_heads"] = heads;
    out["num_key_value_heads"] = model.kv_heads > 0 ? model.kv_heads : heads;
    out["head_dim"] = model.head_dim > 0 ? model.head_dim : model.hidden_size / heads;
    out["hidden_act"] = "silu";
    if (model_class != nullptr) write_class_keys(out, *model_class, model);
    out["attention_dropout"] = 0.0;
    out["initializer_range"] = model.init_std;
    out["max_position_embeddings"] = config.max_length;
    out["rms_norm_eps"] = model.norm_eps;
    out["rope_theta"] = model.rope_base;
    const RopeScalingConfig& rope = model.rope_scaling;
    if (rope.factor == 1.0)
        out["rope_scaling"] = nullptr;
    else
        out["rope_scaling"] = {{"rope_type", "llama3"},
                               {"factor", rope.factor},
                               {"low_freq_factor", rope.low_freq_factor},
                               {"high_freq_factor", rope.high_freq_factor},
                               {"original_max_position_embeddings", rope.original_length}};
    out["tie_word_embeddings"] = model.tied_embeddings;
    out["use_cache"] = true;
    out["torch_dtype"] = dtype == StoredDtype::fp32 ? "float32" : dtype == StoredDtype::bf16 ? "bfloat16" : "float16";
    out["bos_token_id"] = id_or_null(config.ids.bos);
    out["eos_token_id"] = ids_or_null(config.ids.eos);
    out["pad_token_id"] = id_or_null(config.ids.pad);
    if (model_class == nullptr || model.architecture != model_class->architecture) out["gpas"] = row_object(model);
    return out.dump(2) + "\n";
}

std::string generation_config_text(const HuggingFaceConfig& config) {
    nlohmann::ordered_json out;
    out["_from_model_config"] = true;
    if (config.ids.bos >= 0) out["bos_token_id"] = config.ids.bos;
    if (!config.ids.eos.empty()) out["eos_token_id"] = ids_or_null(config.ids.eos);
    if (config.ids.pad >= 0) out["pad_token_id"] = config.ids.pad;
    return out.dump(2) + "\n";
}

std::string shape_that_transformers_refuses(const ModelConfig& model) {
    if (model.init_std > 1.0)
        return fmt::format(
            "transformers 5 refuses to load this model: initializer_range {} is above 1; set it to 1 in config.json; "
            "only newly initialised weights depend on it",
            model.init_std);
    const ModelClass* model_class = class_of(model);
    const bool unchecked = model_class != nullptr && model_class->model_type != "llama";
    if (unchecked || model.hidden_size % model.heads == 0) return {};
    return fmt::format(
        "transformers 5 refuses to load this model: hidden_size {} is not a multiple of num_attention_heads {}; "
        "transformers 4 and llama.cpp load it",
        model.hidden_size, model.heads);
}

std::vector<std::string> model_overrides(const ModelConfig& model) {
    std::vector<std::string> all;
    const auto set = [&](const char* key, const auto& value) { all.push_back(fmt::format("model.{}={}", key, value)); };
    set("architecture", name_of(model.architecture));
    set("vocab_size", model.vocab_size);
    set("hidden_size", model.hidden_size);
    set("ffn_size", model.ffn_size);
    set("layers", model.layers);
    set("heads", model.heads);
    set("kv_heads", model.kv_heads);
    set("head_dim", model.head_dim);
    set("sliding_window", model.sliding_window);
    set("qkv_bias", model.qkv_bias);
    set("output_bias", model.output_bias);
    set("mlp_bias", model.mlp_bias);
    set("qk_norm", name_of(model.qk_norm));
    set("tied_embeddings", model.tied_embeddings);
    set("rope_base", model.rope_base);
    set("rope_scaling.factor", model.rope_scaling.factor);
    set("rope_scaling.low_freq_factor", model.rope_scaling.low_freq_factor);
    set("rope_scaling.high_freq_factor", model.rope_scaling.high_freq_factor);
    set("rope_scaling.original_length", model.rope_scaling.original_length);
    set("norm_eps", model.norm_eps);
    set("init_std", model.init_std);
    set("lns", name_of(model.lns));
    set("mix_post_layers", model.mix_post_layers);
    set("gate.function", name_of(model.gate.function));
    set("gate.scale", model.gate.scale);
    set("gate.per_sublayer", model.gate.per_sublayer);
    set("gate.stop_gradient", model.gate.stop_gradient);
    if (model.tied_embeddings) all.push_back("model.embedding_init=normal");
    return all;
}

}  // namespace gpas
