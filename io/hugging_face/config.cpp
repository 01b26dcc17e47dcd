#include "io/hugging_face/config.hpp"

#include "io/config/enum_names.hpp"
#include "io/config/load.hpp"
#include "kernels/error.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>
#include <set>

namespace gpas {
namespace {

using nlohmann::json;

constexpr const char* gated_type = "gpas_llama";
constexpr std::int64_t most_bytes = 16 << 20;
constexpr int most_depth = 16;

// One config.json, its values taken key by key.
class Reader {
public:
    explicit Reader(const std::filesystem::path& file) : file_(file) {
        std::ifstream in(file, std::ios::binary);
        std::error_code error;
        const std::uintmax_t bytes = std::filesystem::file_size(file, error);
        if (!in || error) fail(ExitCode::bad_file, "{}: cannot be opened", file.string());
        if (bytes > most_bytes)
            fail(ExitCode::bad_file, "{}: {} bytes are no configuration of a model", file.string(), bytes);
        const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        const auto bounded = [&](int depth, json::parse_event_t, json&) {
            if (depth > most_depth) fail(ExitCode::bad_file, "{}: too many levels", file.string());
            return true;
        };
        try {
            root_ = json::parse(text, bounded);
        } catch (const json::exception&) {
            fail(ExitCode::bad_file, "{}: is not JSON", file.string());
        }
        if (!root_.is_object()) fail(ExitCode::bad_file, "{}: is not a JSON object", file.string());
    }

    const json& root() const { return root_; }

    [[noreturn]] void refuse(const std::string& key, const json& found, const std::string& expected) const {
        std::string shown = found.dump(-1, ' ', true, json::error_handler_t::replace);
        if (shown.size() > 100) shown = shown.substr(0, 100) + "…";
        fail(ExitCode::bad_file, "{}: {}: found {}, expected {}", file_.string(), key, shown, expected);
    }
    // null counts as absent.
    const json* find(const json& object, const char* key) const {
        const auto found = object.find(key);
        return found == object.end() || found->is_null() ? nullptr : &*found;
    }
    std::int64_t integer(const json& object, const char* key, std::int64_t absent) const {
        const json* value = find(object, key);
        if (value == nullptr) return absent;
        if (!value->is_number_integer() || *value < 0 || *value > std::int64_t(1) << 40)
            refuse(key, *value, "a whole number");
        return value->get<std::int64_t>();
    }
    std::int64_t needed(const char* key) const {
        const std::int64_t value = integer(root_, key, -1);
        if (value < 0) fail(ExitCode::bad_file, "{}: {} is missing", file_.string(), key);
        return value;
    }
    double real(const json& object, const char* key, double absent) const {
        const json* value = find(object, key);
        if (value == nullptr) return absent;
        if (!value->is_number()) refuse(key, *value, "a number");
        return value->get<double>();
    }
    bool flag(const json& object, const char* key, bool absent) const {
        const json* value = find(object, key);
        if (value == nullptr) return absent;
        if (!value->is_boolean()) refuse(key, *value, "true or false");
        return value->get<bool>();
    }
    std::string text(const json& object, const char* key, const std::string& absent) const {
        const json* value = find(object, key);
        if (value == nullptr) return absent;
        if (!value->is_string()) refuse(key, *value, "a text");
        return value->get<std::string>();
    }
    template <class E>
    E name(const json& object, const char* key, E absent) const {
        const std::string found = text(object, key, std::string(name_of(absent)));
        std::string known;
        for (const EnumName<E>& entry : enum_names<E>()) {
            if (entry.name == found) return entry.value;
            known += (known.empty() ? "" : ", ") + std::string(entry.name);
        }
        refuse(key, found, "one of " + known);
    }
    void must_be(const char* key, const json& only, const char* why) const {
        const json* value = find(root_, key);
        if (value != nullptr && *value != only) refuse(key, *value, only.dump() + why);
    }

private:
    std::filesystem::path file_;
    json root_;
};

RopeScalingConfig rope_scaling_of(const Reader& reader, const json& rope) {
    if (!rope.is_object()) reader.refuse("rope_scaling", rope, "an object");
    const std::string type = reader.text(rope, "rope_type", reader.text(rope, "type", "default"));
    if (type == "default") return {};
    if (type != "llama3") reader.refuse("rope_scaling.rope_type", type, "default or llama3");
    const RopeScalingConfig usual;
    return {.factor = reader.real(rope, "factor", usual.factor),
            .low_freq_factor = reader.real(rope, "low_freq_factor", usual.low_freq_factor),
            .high_freq_factor = reader.real(rope, "high_freq_factor", usual.high_freq_factor),
            .original_length = reader.integer(rope, "original_max_position_embeddings", usual.original_length)};
}

void check_supported(const Reader& reader) {
    const std::string type = reader.text(reader.root(), "model_type", "llama");
    if (type != "llama" && type != gated_type)
        reader.refuse("model_type", type, fmt::format("llama, or {} as gpas convert writes it", gated_type));
    reader.must_be("hidden_act", "silu", ": MLPs here are SwiGLU");
    reader.must_be("attention_bias", false, ": linear layers here have no bias");
    reader.must_be("mlp_bias", false, ": linear layers here have no bias");
    if (const json* quantized = reader.find(reader.root(), "quantization_config"))
        reader.refuse("quantization_config", *quantized, "none: convert the weights to bf16 or fp32 first");
}

GateConfig gate_of(const Reader& reader, const json& gpas) {
    GateConfig gate;
    gate.function = reader.name(gpas, "gate_function", gate.function);
    gate.scale = reader.real(gpas, "gate_scale", gate.scale);
    gate.per_sublayer = reader.flag(gpas, "gate_per_sublayer", gate.per_sublayer);
    gate.stop_gradient = reader.flag(gpas, "stop_gradient", gate.stop_gradient);
    return gate;
}

nlohmann::ordered_json row_object(const ModelConfig& model) {
    const Architecture row = model.architecture;
    nlohmann::ordered_json out;
    out["architecture"] = name_of(row);
    if (row == Architecture::lns || row == Architecture::lns_gpas) out["lns"] = name_of(model.lns);
    if (row == Architecture::post_pre || row == Architecture::post_pre_gpas)
        out["mix_post_layers"] = model.mix_post_layers < 0 ? model.layers / 4 : model.mix_post_layers;
    if (!name_of(row).ends_with("_gpas")) return out;
    out["gate_function"] = name_of(model.gate.function);
    out["gate_scale"] = model.gate.scale;
    out["gate_per_sublayer"] = model.gate.per_sublayer;
    out["stop_gradient"] = model.gate.stop_gradient;
    return out;
}

}  // namespace

bool is_plain_llama(const ModelConfig& model) {
    return model.architecture == Architecture::pre ||
           (model.architecture == Architecture::lns && model.lns == LnsMode::init);
}

std::string hugging_face_config_text(const HuggingFaceConfig& config, StoredDtype dtype) {
    const ModelConfig& model = config.model;
    const std::int64_t heads = model.heads;
    const bool plain = is_plain_llama(model);
    nlohmann::ordered_json out;
    out["architectures"] = {plain ? "LlamaForCausalLM" : "GpasLlamaForCausalLM"};
    out["model_type"] = plain ? "llama" : gated_type;
    out["vocab_size"] = model.vocab_size;
    out["hidden_size"] = model.hidden_size;
    out["intermediate_size"] = model.ffn_size;
    out["num_hidden_layers"] = model.layers;
    out["num_attention_heads"] = heads;
    out["num_key_value_heads"] = model.kv_heads > 0 ? model.kv_heads : heads;
    out["head_dim"] = model.head_dim > 0 ? model.head_dim : model.hidden_size / heads;
    out["hidden_act"] = "silu";
    out["attention_bias"] = false;
    out["mlp_bias"] = false;
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
    out["bos_token_id"] = config.bos >= 0 ? nlohmann::ordered_json(config.bos) : nlohmann::ordered_json();
    out["eos_token_id"] = config.eos >= 0 ? nlohmann::ordered_json(config.eos) : nlohmann::ordered_json();
    out["pad_token_id"] = nullptr;
    if (model.architecture != Architecture::pre) out["gpas"] = row_object(model);
    return out.dump(2) + "\n";
}

std::string generation_config_text(const HuggingFaceConfig& config) {
    nlohmann::ordered_json out;
    out["_from_model_config"] = true;
    if (config.bos >= 0) out["bos_token_id"] = config.bos;
    if (config.eos >= 0) out["eos_token_id"] = config.eos;
    return out.dump(2) + "\n";
}

HuggingFaceConfig read_hugging_face_config(const std::filesystem::path& file, const std::string& architecture) {
    const Reader reader(file);
    const json& root = reader.root();
    check_supported(reader);
    HuggingFaceConfig config;
    ModelConfig& model = config.model;
    model.vocab_size = reader.needed("vocab_size");
    model.hidden_size = reader.needed("hidden_size");
    model.ffn_size = reader.needed("intermediate_size");
    model.layers = reader.needed("num_hidden_layers");
    model.heads = reader.needed("num_attention_heads");
    model.kv_heads = reader.integer(root, "num_key_value_heads", 0);
    model.head_dim = reader.integer(root, "head_dim", 0);
    if (model.kv_heads == model.heads) model.kv_heads = 0;
    if (model.heads > 0 && model.head_dim * model.heads == model.hidden_size) model.head_dim = 0;
    model.norm_eps = reader.real(root, "rms_norm_eps", 1e-6);
    model.tied_embeddings = reader.flag(root, "tie_word_embeddings", false);
    model.init_std = reader.real(root, "initializer_range", 0.02);
    // transformers 5 has one object, rope_parameters; before it, rope_theta and rope_scaling.
    const json* rope = reader.find(root, "rope_parameters");
    model.rope_base =
        reader.real(rope != nullptr ? *rope : root, "rope_theta", reader.real(root, "rope_theta", 10000.0));
    if (rope == nullptr) rope = reader.find(root, "rope_scaling");
    if (rope != nullptr) model.rope_scaling = rope_scaling_of(reader, *rope);
    config.max_length = reader.integer(root, "max_position_embeddings", 2048);
    const json* eos = reader.find(root, "eos_token_id");
    config.eos = eos != nullptr && eos->is_number_integer() ? eos->get<std::int64_t>() : -1;
    const json* bos = reader.find(root, "bos_token_id");
    config.bos = bos != nullptr && bos->is_number_integer() ? bos->get<std::int64_t>() : -1;

    model.architecture = Architecture::pre;
    if (const json* gpas = reader.find(root, "gpas")) {
        if (!gpas->is_object()) reader.refuse("gpas", *gpas, "an object");
        model.architecture = reader.name(*gpas, "architecture", model.architecture);
        model.lns = reader.name(*gpas, "lns", model.lns);
        model.mix_post_layers = reader.integer(*gpas, "mix_post_layers", -1);
        model.gate = gate_of(reader, *gpas);
    }
    if (!architecture.empty())
        model.architecture = reader.name(json{{"--architecture", architecture}}, "--architecture", Architecture::pre);
    try {  // ranges and contradictions
        load_config_text("name: imported\n", file.string(), model_overrides(model));
    } catch (const Error& error) {
        fail(ExitCode::bad_file, "{}: {}", file.string(), error.what());
    }
    return config;
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
