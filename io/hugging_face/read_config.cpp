#include "base/error.hpp"
#include "io/config/architecture.hpp"
#include "io/config/load.hpp"
#include "io/hugging_face/config.hpp"
#include "io/hugging_face/config_reader.hpp"
#include "io/hugging_face/model_class.hpp"

#include <algorithm>

namespace gpas {
namespace {

using nlohmann::json;

// The sequence length of the training before RoPE scaling. transformers 5 takes it from the rotary settings or the top
// level; if both lack it, from max_position_embeddings.
std::int64_t original_length(const ConfigReader& reader, const json& rope, HuggingFaceConfig& config) {
    constexpr const char* key = "original_max_position_embeddings";
    const std::int64_t own = reader.integer(rope, key, -1), top = reader.integer(reader.root(), key, -1);
    if (own >= 0 && top >= 0 && own != top) reader.refuse(key, top, fmt::format("{}, as in the rotary settings", own));
    if (own >= 0 || top >= 0) return std::max(own, top);
    const std::int64_t length = reader.needed("max_position_embeddings");
    config.notes.push_back(fmt::format(
        "config.json has no {}: RoPE scaling uses max_position_embeddings ({}), as transformers 5 does", key, length));
    return length;
}

// key: "rope_scaling" or "rope_parameters".
RopeScalingConfig rope_scaling_of(const ConfigReader& reader, const std::string& key, const json& rope,
                                  HuggingFaceConfig& config) {
    if (!rope.is_object()) reader.refuse(key, rope, "an object");
    for (const auto& [name, value] : rope.items())
        if (value.is_object())
            reader.refuse(key + "." + name, value, "a number: gpas uses the same RoPE in all layers");
    const std::string type = reader.text(rope, "rope_type", reader.text(rope, "type", ""));
    if (type.empty() && reader.find(rope, "factor") != nullptr)
        fail(ExitCode::bad_file, "{}: {}.rope_type is missing, but factor is present", reader.file(), key);
    if (type.empty() || type == "default") return {};
    if (type != "llama3") reader.refuse(key + ".rope_type", type, "default or llama3");
    const auto needed = [&](const char* name) {
        if (reader.find(rope, name) == nullptr)
            fail(ExitCode::bad_file, "{}: {}.{} is missing; RoPE scaling of type llama3 needs it", reader.file(), key,
                 name);
        return reader.real(rope, name, 0.0);
    };
    const RopeScalingConfig scaling{.factor = needed("factor"),
                                    .low_freq_factor = needed("low_freq_factor"),
                                    .high_freq_factor = needed("high_freq_factor"),
                                    .original_length = original_length(reader, rope, config)};
    return scaling.factor == 1.0 ? RopeScalingConfig{} : scaling;
}

void check_rotary(const ConfigReader& reader, const json& object) {
    if (reader.real(object, "partial_rotary_factor", 1.0) != 1.0)
        reader.refuse("partial_rotary_factor", *reader.find(object, "partial_rotary_factor"),
                      "1: gpas applies RoPE to whole heads");
}

// The class of the config's model_type. A config of gpas_llama, and one without a model type, has the keys of llama.
const ModelClass& class_in(const ConfigReader& reader) {
    const std::string type = reader.text(reader.root(), "model_type", "llama");
    std::string known;
    for (const ModelClass& model_class : model_classes()) {
        if (type == model_class.model_type || (type == gpas_model_type && model_class.model_type == "llama"))
            return model_class;
        known += std::string(model_class.model_type) + ", ";
    }
    reader.refuse("model_type", type, fmt::format("{}or {} (written by gpas convert)", known, gpas_model_type));
}

// The window of a class with WindowKeys::use_sliding_window; 0: none.
std::int64_t qwen_window(const ConfigReader& reader) {
    const json& root = reader.root();
    if (!reader.flag(root, "use_sliding_window", false)) return 0;
    const std::int64_t layers = reader.needed("num_hidden_layers");
    const std::int64_t first = reader.integer(root, "max_window_layers", 28);
    if (first >= layers) return 0;
    if (first > 0)
        reader.refuse("max_window_layers", first,
                      fmt::format("0 (a window in all {} layers), or at least {} (in no layer): gpas has the same "
                                  "attention in all layers",
                                  layers, layers));
    return reader.integer(root, "sliding_window", root.contains("sliding_window") ? 0 : 4096);
}

void check_layer_types(const ConfigReader& reader, std::int64_t window) {
    const json* layers = reader.find(reader.root(), "layer_types");
    if (layers == nullptr) return;
    const char* expected = window > 0 ? "sliding_attention" : "full_attention";
    for (const json& layer : *layers)
        if (layer != expected)
            reader.refuse("layer_types", layer, fmt::format("{} for each layer, as the other keys have it", expected));
}

// 0: no window.
std::int64_t window_of(const ConfigReader& reader, const ModelClass& model_class, HuggingFaceConfig& config) {
    const json& root = reader.root();
    const json* found = reader.find(root, "sliding_window");
    if (model_class.window == WindowKeys::none) {
        if (found != nullptr)
            reader.refuse("sliding_window", *found,
                          fmt::format("null: {} attends to the whole sequence", model_class.name));
        return 0;
    }
    const std::int64_t window = reader.integer(root, "sliding_window", 0);
    if (found != nullptr && window == 0) reader.refuse("sliding_window", *found, "null (no window), or at least 1");
    if (model_class.window == WindowKeys::use_sliding_window) return qwen_window(reader);
    if (root.contains("sliding_window")) return window;
    config.notes.push_back(
        fmt::format("config.json has no sliding_window: 4096, as in transformers' {}", model_class.name));
    return 4096;
}

void check_supported(const ConfigReader& reader, const ModelClass& model_class) {
    reader.must_be("hidden_act", "silu", ": gpas has SwiGLU MLPs only");
    if (!model_class.has_attention_bias && !model_class.has_qkv_bias)
        reader.must_be("attention_bias", false, fmt::format(": {} has no biases", model_class.name).c_str());
    if (!model_class.has_mlp_bias)
        reader.must_be("mlp_bias", false, fmt::format(": {} has no biases in its MLP", model_class.name).c_str());
    if (const json* quantized = reader.find(reader.root(), "quantization_config"))
        reader.refuse("quantization_config", *quantized, "no quantization: convert the weights to bf16 or fp32 first");
    reader.must_be("rope_interleaved", false, ": gpas pairs the two halves of a head in RoPE");
    reader.must_be("is_causal", true, ": gpas has causal attention only");
    check_rotary(reader, reader.root());
    const json* classes = reader.find(reader.root(), "architectures");
    if (reader.find(reader.root(), "model_type") == nullptr && classes != nullptr && classes->is_array())
        for (const json& name : *classes)
            if (name != "LlamaForCausalLM")
                reader.refuse("architectures", name, "LlamaForCausalLM, or a model_type as well");
}

// The class's biases and norms. For gpas_llama, read_row reads those of the object "gpas" afterwards.
void read_class(const ConfigReader& reader, const ModelClass& model_class, ModelConfig& model) {
    const bool attention_bias = model_class.has_attention_bias && reader.flag(reader.root(), "attention_bias", false);
    model.qkv_bias = model_class.has_qkv_bias || attention_bias;
    model.output_bias = attention_bias;
    model.mlp_bias = model_class.has_mlp_bias && reader.flag(reader.root(), "mlp_bias", false);
    model.qk_norm = model_class.qk_norm;
    model.architecture = model_class.architecture;
}

GateConfig gate_of(const ConfigReader& reader, const json& gpas) {
    GateConfig gate;
    gate.function = reader.name(gpas, "gate_function", gate.function);
    gate.scale = reader.real(gpas, "gate_scale", gate.scale);
    gate.per_sublayer = reader.flag(gpas, "gate_per_sublayer", gate.per_sublayer);
    gate.stop_gradient = reader.flag(gpas, "stop_gradient", gate.stop_gradient);
    return gate;
}

// Keys that change what the model computes have no defaults: each must be present.
void check_row(const ConfigReader& reader, const json& gpas) {
    const auto needed = [&](const char* key) {
        if (reader.find(gpas, key) == nullptr) fail(ExitCode::bad_file, "{}: gpas.{} is missing", reader.file(), key);
    };
    needed("architecture");
    const Architecture row = reader.name(gpas, "architecture", Architecture::pre);
    if (scales_norms(row)) needed("lns");
    if (mixes_norms(row)) needed("mix_post_layers");
    if (!has_gates(row)) return;
    for (const char* key : {"gate_function", "gate_scale", "gate_per_sublayer"}) needed(key);
}

void read_sizes(const ConfigReader& reader, const ModelClass& model_class, ModelConfig& model) {
    const json& root = reader.root();
    model.vocab_size = reader.needed("vocab_size");
    model.hidden_size = reader.needed("hidden_size");
    model.ffn_size = reader.needed("intermediate_size");
    model.layers = reader.needed("num_hidden_layers");
    model.heads = reader.needed("num_attention_heads");
    model.kv_heads = model_class.needs_kv_heads ? reader.needed("num_key_value_heads")
                                                : reader.integer(root, "num_key_value_heads", 0);
    model.head_dim = model_class.needs_head_dim ? reader.needed("head_dim") : reader.integer(root, "head_dim", 0);
    if (model.kv_heads == model.heads) model.kv_heads = 0;
    if (model.heads > 0 && model.head_dim * model.heads == model.hidden_size) model.head_dim = 0;
    model.norm_eps = reader.real(root, "rms_norm_eps", model_class.norm_eps);
    model.tied_embeddings = reader.flag(root, "tie_word_embeddings", false);
    model.init_std = reader.real(root, "initializer_range", 0.02);
}

// transformers 5 has one object, rope_parameters; earlier versions have rope_theta and rope_scaling.
void read_rope(const ConfigReader& reader, HuggingFaceConfig& config) {
    const json& root = reader.root();
    const bool scaled = reader.find(root, "rope_scaling") != nullptr;
    std::string rope_key = "rope_parameters";
    const json* rope = reader.find(root, "rope_parameters");
    const auto without_base = [](json object) {
        if (object.is_object()) object.erase("rope_theta");
        return object;
    };
    if (rope != nullptr && scaled && without_base(*rope) != without_base(root["rope_scaling"]))
        reader.refuse("rope_scaling", root["rope_scaling"],
                      "the same settings as in rope_parameters, or no rope_scaling");
    if (rope == nullptr && scaled) rope_key = "rope_scaling", rope = reader.find(root, "rope_scaling");
    ModelConfig& model = config.model;
    model.rope_base = reader.real(root, "rope_theta", 10000.0);
    if (rope == nullptr) return;
    model.rope_scaling = rope_scaling_of(reader, rope_key, *rope, config);
    model.rope_base = reader.real(*rope, "rope_theta", model.rope_base);
    check_rotary(reader, *rope);
}

void read_row(const ConfigReader& reader, ModelConfig& model, const std::string& architecture) {
    const json* gpas = reader.find(reader.root(), "gpas");
    if (gpas != nullptr) {
        if (!gpas->is_object()) reader.refuse("gpas", *gpas, "an object");
        check_row(reader, *gpas);
        model.architecture = reader.name(*gpas, "architecture", model.architecture);
        model.lns = reader.name(*gpas, "lns", model.lns);
        model.mix_post_layers = reader.integer(*gpas, "mix_post_layers", -1);
        model.gate = gate_of(reader, *gpas);
        model.qkv_bias = reader.flag(*gpas, "qkv_bias", model.qkv_bias);
        model.output_bias = reader.flag(*gpas, "output_bias", model.output_bias);
        model.mlp_bias = reader.flag(*gpas, "mlp_bias", model.mlp_bias);
        model.qk_norm = reader.name(*gpas, "qk_norm", model.qk_norm);
        model.sliding_window = reader.integer(*gpas, "sliding_window", model.sliding_window);
    }
    if (!architecture.empty())
        model.architecture = reader.name(json{{"--architecture", architecture}}, "--architecture", Architecture::pre);
    else if (gpas == nullptr && reader.text(reader.root(), "model_type", "llama") == gpas_model_type)
        fail(ExitCode::bad_file,
             "{}: model_type is {}, but the object \"gpas\" is missing; name the architecture with --architecture",
             reader.file(), gpas_model_type);
}

}  // namespace

HuggingFaceConfig read_hugging_face_config(const std::filesystem::path& file, const std::string& architecture,
                                           std::int64_t post_layers) {
    const ConfigReader reader(file);
    const ModelClass& model_class = class_in(reader);
    check_supported(reader, model_class);
    HuggingFaceConfig config;
    ModelConfig& model = config.model;
    read_class(reader, model_class, model);
    model.sliding_window = window_of(reader, model_class, config);
    check_layer_types(reader, model.sliding_window);
    read_sizes(reader, model_class, model);
    read_rope(reader, config);
    config.max_length = reader.integer(reader.root(), "max_position_embeddings", 2048);
    read_row(reader, model, architecture);
    if (post_layers >= 0) {
        if (!mixes_norms(model.architecture) || post_layers > model.layers)
            fail(ExitCode::usage,
                 "--mix-post-layers {}: expected 0 to {} layers of post_pre or post_pre_gpas; {} is {}", post_layers,
                 model.layers, file.string(), name_of(model.architecture));
        model.mix_post_layers = post_layers;
    }
    try {  // ranges and contradictions
        load_config_text("name: imported\n", file.string(), model_overrides(model));
    } catch (const Error& error) {
        fail(ExitCode::bad_file, "{}: {}", file.string(), error.what());
    }
    return config;
}

}  // namespace gpas
