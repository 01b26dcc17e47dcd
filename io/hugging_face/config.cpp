#include "io/hugging_face/config.hpp"

#include "io/config/enum_names.hpp"
#include "io/config/load.hpp"
#include "base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
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
    std::string file() const { return file_.string(); }

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

// The length of training before the scaling. transformers 5 takes it from the top level first and else from
// max_position_embeddings.
std::int64_t original_length(const Reader& reader, const json& rope, HuggingFaceConfig& config) {
    constexpr const char* key = "original_max_position_embeddings";
    const std::int64_t own = reader.integer(rope, key, -1), top = reader.integer(reader.root(), key, -1);
    if (own >= 0 && top >= 0 && own != top) reader.refuse(key, top, fmt::format("{}, as in the rotary settings", own));
    if (own >= 0 || top >= 0) return std::max(own, top);
    const std::int64_t length = reader.needed("max_position_embeddings");
    config.notes.push_back(
        fmt::format("config.json has no {}: rotary scaling takes max_position_embeddings ({}), as transformers 5 does",
                    key, length));
    return length;
}

// key: "rope_scaling" or "rope_parameters".
RopeScalingConfig rope_scaling_of(const Reader& reader, const std::string& key, const json& rope,
                                  HuggingFaceConfig& config) {
    if (!rope.is_object()) reader.refuse(key, rope, "an object");
    for (const auto& [name, value] : rope.items())
        if (value.is_object())
            reader.refuse(key + "." + name, value, "a number: all layers have the same rotary embedding here");
    const std::string type = reader.text(rope, "rope_type", reader.text(rope, "type", ""));
    if (type.empty() && reader.find(rope, "factor") != nullptr)
        fail(ExitCode::bad_file, "{}: {}.rope_type is missing, though there is a factor", reader.file(), key);
    if (type.empty() || type == "default") return {};
    if (type != "llama3") reader.refuse(key + ".rope_type", type, "default or llama3");
    const auto needed = [&](const char* name) {
        if (reader.find(rope, name) == nullptr)
            fail(ExitCode::bad_file, "{}: {}.{} is missing; rotary scaling of type llama3 needs it", reader.file(), key,
                 name);
        return reader.real(rope, name, 0.0);
    };
    const RopeScalingConfig scaling{.factor = needed("factor"),
                                    .low_freq_factor = needed("low_freq_factor"),
                                    .high_freq_factor = needed("high_freq_factor"),
                                    .original_length = original_length(reader, rope, config)};
    return scaling.factor == 1.0 ? RopeScalingConfig{} : scaling;
}

void check_rotary(const Reader& reader, const json& object) {
    if (reader.real(object, "partial_rotary_factor", 1.0) != 1.0)
        reader.refuse("partial_rotary_factor", *reader.find(object, "partial_rotary_factor"),
                      "1: the rotary embedding covers whole heads here");
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
    if (const json* window = reader.find(reader.root(), "sliding_window"))
        reader.refuse("sliding_window", *window, "null: attention covers the whole sequence here");
    if (const json* layers = reader.find(reader.root(), "layer_types"))
        for (const json& layer : *layers)
            if (layer != "full_attention") reader.refuse("layer_types", layer, "full_attention for each layer");
    reader.must_be("rope_interleaved", false, ": rotary pairs are the two halves of a head here");
    reader.must_be("is_causal", true, ": attention is causal here");
    check_rotary(reader, reader.root());
    const json* classes = reader.find(reader.root(), "architectures");
    if (reader.find(reader.root(), "model_type") == nullptr && classes != nullptr && classes->is_array())
        for (const json& name : *classes)
            if (name != "LlamaForCausalLM")
                reader.refuse("architectures", name, "LlamaForCausalLM, or a model_type beside it");
}

GateConfig gate_of(const Reader& reader, const json& gpas) {
    GateConfig gate;
    gate.function = reader.name(gpas, "gate_function", gate.function);
    gate.scale = reader.real(gpas, "gate_scale", gate.scale);
    gate.per_sublayer = reader.flag(gpas, "gate_per_sublayer", gate.per_sublayer);
    gate.stop_gradient = reader.flag(gpas, "stop_gradient", gate.stop_gradient);
    return gate;
}

bool mixes(Architecture row) { return row == Architecture::post_pre || row == Architecture::post_pre_gpas; }

nlohmann::ordered_json row_object(const ModelConfig& model) {
    const Architecture row = model.architecture;
    nlohmann::ordered_json out;
    out["architecture"] = name_of(row);
    if (row == Architecture::lns || row == Architecture::lns_gpas) out["lns"] = name_of(model.lns);
    if (mixes(row)) out["mix_post_layers"] = model.mix_post_layers < 0 ? model.layers / 4 : model.mix_post_layers;
    if (!name_of(row).ends_with("_gpas")) return out;
    out["gate_function"] = name_of(model.gate.function);
    out["gate_scale"] = model.gate.scale;
    out["gate_per_sublayer"] = model.gate.per_sublayer;
    out["stop_gradient"] = model.gate.stop_gradient;
    return out;
}

// No key of a row that changes what is computed has a default.
void check_row(const Reader& reader, const json& gpas) {
    const auto needed = [&](const char* key) {
        if (reader.find(gpas, key) == nullptr) fail(ExitCode::bad_file, "{}: gpas.{} is missing", reader.file(), key);
    };
    needed("architecture");
    const Architecture row = reader.name(gpas, "architecture", Architecture::pre);
    if (row == Architecture::lns || row == Architecture::lns_gpas) needed("lns");
    if (mixes(row)) needed("mix_post_layers");
    if (!name_of(row).ends_with("_gpas")) return;
    for (const char* key : {"gate_function", "gate_scale", "gate_per_sublayer"}) needed(key);
}

nlohmann::ordered_json id_or_null(std::int64_t id) {
    return id >= 0 ? nlohmann::ordered_json(id) : nlohmann::ordered_json();
}
nlohmann::ordered_json ids_or_null(const std::vector<std::int64_t>& ids) {
    return ids.size() > 1 ? nlohmann::ordered_json(ids) : id_or_null(ids.empty() ? -1 : ids.front());
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
    out["bos_token_id"] = id_or_null(config.ids.bos);
    out["eos_token_id"] = ids_or_null(config.ids.eos);
    out["pad_token_id"] = id_or_null(config.ids.pad);
    if (model.architecture != Architecture::pre) out["gpas"] = row_object(model);
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
            "transformers 5 refuses to load this model: initializer_range {} is above 1; set it to 1 in "
            "config.json, as only new weights depend on it",
            model.init_std);
    if (model.hidden_size % model.heads == 0) return {};
    return fmt::format(
        "transformers 5 refuses to load this model: hidden_size {} is not a multiple of num_attention_heads {}; "
        "transformers 4 and llama.cpp load it",
        model.hidden_size, model.heads);
}

HuggingFaceConfig read_hugging_face_config(const std::filesystem::path& file, const std::string& architecture,
                                           std::int64_t post_layers) {
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
    const bool scaled = reader.find(root, "rope_scaling") != nullptr;
    std::string rope_key = "rope_parameters";
    const json* rope = reader.find(root, "rope_parameters");
    const auto without_base = [](json object) {
        if (object.is_object()) object.erase("rope_theta");
        return object;
    };
    if (rope != nullptr && scaled && without_base(*rope) != without_base(root["rope_scaling"]))
        reader.refuse("rope_scaling", root["rope_scaling"], "none beside rope_parameters, or the same");
    if (rope == nullptr && scaled) rope_key = "rope_scaling", rope = reader.find(root, "rope_scaling");
    model.rope_base = reader.real(root, "rope_theta", 10000.0);
    if (rope != nullptr) {
        model.rope_scaling = rope_scaling_of(reader, rope_key, *rope, config);
        model.rope_base = reader.real(*rope, "rope_theta", model.rope_base);
        check_rotary(reader, *rope);
    }
    config.max_length = reader.integer(root, "max_position_embeddings", 2048);
    model.architecture = Architecture::pre;
    if (const json* gpas = reader.find(root, "gpas")) {
        if (!gpas->is_object()) reader.refuse("gpas", *gpas, "an object");
        check_row(reader, *gpas);
        model.architecture = reader.name(*gpas, "architecture", model.architecture);
        model.lns = reader.name(*gpas, "lns", model.lns);
        model.mix_post_layers = reader.integer(*gpas, "mix_post_layers", -1);
        model.gate = gate_of(reader, *gpas);
    }
    if (!architecture.empty())
        model.architecture = reader.name(json{{"--architecture", architecture}}, "--architecture", Architecture::pre);
    else if (reader.text(root, "model_type", "llama") == gated_type && reader.find(root, "gpas") == nullptr)
        fail(ExitCode::bad_file,
             "{}: model_type is {}, but the object \"gpas\" is missing; name the architecture "
             "with --architecture",
             file.string(), gated_type);
    if (post_layers >= 0) {
        if (!mixes(model.architecture) || post_layers > model.layers)
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
