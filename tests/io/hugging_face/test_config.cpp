// config.json: what it says is what comes back, what this engine does not compute is refused.
#include "base/error.hpp"
#include "io/config/architecture.hpp"
#include "io/hugging_face/config.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace gpas {
namespace {

using nlohmann::json;

class HuggingFaceConfigFile : public testing::Test {
protected:
    HuggingFaceConfig read(const std::string& text, const std::string& architecture = "") {
        std::ofstream(file_) << text;
        return read_hugging_face_config(file_, architecture);
    }
    std::string refusal(const std::string& text, const std::string& architecture = "") {
        try {
            read(text, architecture);
        } catch (const Error& error) {
            const std::string message = error.what();
            EXPECT_EQ(error.code(), ExitCode::bad_file) << message;
            EXPECT_EQ(message.find('\n'), std::string::npos) << message;
            EXPECT_NE(message.find("config.json"), std::string::npos) << message;
            return message;
        }
        return "accepted";
    }
    // Llama 2's, with changes; null takes a key away.
    std::string llama(const json& changes = json::object()) const {
        json config = {{"model_type", "llama"},
                       {"vocab_size", 32000},
                       {"hidden_size", 4096},
                       {"intermediate_size", 11008},
                       {"num_hidden_layers", 32},
                       {"num_attention_heads", 32},
                       {"num_key_value_heads", 32},
                       {"rms_norm_eps", 1e-5},
                       {"hidden_act", "silu"},
                       {"max_position_embeddings", 4096},
                       {"tie_word_embeddings", false},
                       {"rope_scaling", nullptr},
                       {"pretraining_tp", 1},
                       {"torch_dtype", "float16"},
                       {"bos_token_id", 1},
                       {"eos_token_id", 2}};
        config.merge_patch(changes);
        return config.dump();
    }

    test_support::ScratchDirectory scratch_;
    std::string file_ = scratch_ / "config.json";
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(HuggingFaceConfigFile, of_llama_2_is_read) {
    const HuggingFaceConfig config = read(llama());
    EXPECT_EQ(config.model.architecture, Architecture::pre);
    EXPECT_EQ(config.model.hidden_size, 4096);
    EXPECT_EQ(config.model.ffn_size, 11008);
    EXPECT_EQ(config.model.kv_heads, 0);
    EXPECT_EQ(config.model.norm_eps, 1e-5);
    EXPECT_EQ(config.model.rope_base, 10000.0);
    EXPECT_EQ(config.max_length, 4096);
}

TEST_F(HuggingFaceConfigFile, of_llama_3_is_read_in_both_spellings) {
    const json rope = {{"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192},
                       {"rope_type", "llama3"}};
    json both = rope;
    both["rope_theta"] = 500000.0;
    for (const json& changes :
         {json{{"rope_theta", 500000.0}, {"rope_scaling", rope}}, json{{"rope_parameters", both}}}) {
        const ModelConfig model = read(llama(changes)).model;
        EXPECT_EQ(model.rope_base, 500000.0);
        EXPECT_EQ(model.rope_scaling.factor, 8.0);
        EXPECT_EQ(model.rope_scaling.original_length, 8192);
    }
}

TEST_F(HuggingFaceConfigFile, that_is_written_is_read_back) {
    ModelConfig model;
    model.kv_heads = 2;
    model.head_dim = 20;
    model.rope_base = 12345.0;
    model.rope_scaling = {.factor = 4, .low_freq_factor = 1.5, .high_freq_factor = 5, .original_length = 77};
    for (const Architecture architecture :
         {Architecture::pre, Architecture::post_gpas, Architecture::lns_gpas, Architecture::post_pre_gpas,
          Architecture::reordered, Architecture::reordered_gpas}) {
        model.architecture = architecture;
        model.lns = architecture == Architecture::lns_gpas ? LnsMode::output : LnsMode::init;
        model.mix_post_layers = architecture == Architecture::post_pre_gpas ? 5 : -1;
        model.gate = {};
        if (has_gates(architecture))
            model.gate = {.function = GateFunction::scaled_silu, .scale = 0.5, .per_sublayer = true};
        const std::string text = hugging_face_config_text(
            {.model = model, .max_length = 99, .ids = {.bos = 1, .eos = {2}}}, StoredDtype::bf16);
        const HuggingFaceConfig found = read(text);
        EXPECT_EQ(model_overrides(found.model), model_overrides(model)) << text;
        EXPECT_EQ(found.max_length, 99);
        EXPECT_EQ(json::parse(text).at("model_type"), architecture == Architecture::pre ? "llama" : "gpas_llama");
    }
}

TEST_F(HuggingFaceConfigFile, of_the_papers_code_needs_the_architecture) {
    EXPECT_EQ(read(llama(), "sandwich_gpas").model.architecture, Architecture::sandwich_gpas);
    EXPECT_HAS(refusal(llama(), "gpas"), "--architecture: found \"gpas\", expected one of post, ");
}

TEST_F(HuggingFaceConfigFile, of_what_is_not_computed_is_refused) {
    EXPECT_HAS(refusal(llama({{"model_type", "mixtral"}})),
               "model_type: found \"mixtral\", expected llama, mistral, qwen2, qwen3, olmo2, ");
    EXPECT_HAS(refusal(llama({{"hidden_act", "gelu"}})), "hidden_act: found \"gelu\", expected \"silu\"");
    EXPECT_HAS(refusal(llama({{"model_type", "mistral"}, {"sliding_window", nullptr}, {"attention_bias", true}})),
               "attention_bias: found true, expected false");
    EXPECT_HAS(refusal(llama({{"model_type", "qwen3"}, {"head_dim", 128}, {"mlp_bias", true}})),
               "mlp_bias: found true, expected false: Qwen3ForCausalLM has no biases in its MLP");
    EXPECT_HAS(refusal(llama({{"quantization_config", {{"bits", 4}}}})), "quantization_config");
    EXPECT_HAS(refusal(llama({{"rope_scaling", {{"type", "linear"}, {"factor", 2}}}})), "found \"linear\"");
    EXPECT_HAS(refusal(llama({{"rope_scaling", 2}})), "rope_scaling: found 2, expected an object");
}

TEST_F(HuggingFaceConfigFile, without_a_field_of_rotary_scaling_is_refused_by_its_name) {
    const json rope = {{"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 16},
                       {"rope_type", "llama3"}};
    for (const char* form : {"rope_scaling", "rope_parameters"})
        for (const char* field : {"factor", "low_freq_factor", "high_freq_factor"}) {
            json bad = rope;
            bad.erase(field);
            const std::string message = refusal(llama({{form, bad}}));
            EXPECT_HAS(message, fmt::format("{}.{} is missing", form, field));
        }
    json bad = rope;
    bad.erase("rope_type");
    EXPECT_HAS(refusal(llama({{"rope_scaling", bad}})), "rope_scaling.rope_type is missing");
}

TEST_F(HuggingFaceConfigFile, takes_the_original_length_from_where_transformers_takes_it) {
    json rope = {{"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}, {"rope_type", "llama3"}};
    const HuggingFaceConfig from_positions = read(llama({{"rope_parameters", rope}}));
    EXPECT_EQ(from_positions.model.rope_scaling.original_length, 4096);
    ASSERT_EQ(from_positions.notes.size(), 1U);
    EXPECT_HAS(from_positions.notes[0], "max_position_embeddings (4096)");
    EXPECT_EQ(read(llama({{"rope_scaling", rope}, {"original_max_position_embeddings", 99}}))
                  .model.rope_scaling.original_length,
              99);
    EXPECT_HAS(refusal(llama({{"rope_scaling", rope}, {"max_position_embeddings", nullptr}})),
               "max_position_embeddings is missing");
    rope["original_max_position_embeddings"] = 16;
    EXPECT_HAS(refusal(llama({{"rope_scaling", rope}, {"original_max_position_embeddings", 99}})),
               "original_max_position_embeddings: found 99, expected 16");
}

TEST_F(HuggingFaceConfigFile, with_another_attention_or_rotary_embedding_is_refused) {
    EXPECT_HAS(refusal(llama({{"sliding_window", 1024}})), "sliding_window: found 1024, expected null");
    EXPECT_HAS(refusal(llama({{"layer_types", {"full_attention", "sliding_attention"}}})), "layer_types");
    EXPECT_HAS(refusal(llama({{"partial_rotary_factor", 0.5}})), "partial_rotary_factor: found 0.5, expected 1");
    EXPECT_HAS(refusal(llama({{"rope_parameters", {{"rope_theta", 1e4}, {"partial_rotary_factor", 0.5}}}})),
               "partial_rotary_factor");
    EXPECT_HAS(refusal(llama({{"rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}}}})),
               "rope_parameters.full_attention");
    EXPECT_HAS(refusal(llama({{"rope_interleaved", true}})), "rope_interleaved");
    EXPECT_HAS(refusal(llama({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 2}}}})), "found \"yarn\"");
    EXPECT_HAS(refusal(llama({{"rope_scaling", {{"rope_type", "yarn"}}}, {"rope_parameters", {{"rope_theta", 1e4}}}})),
               "expected the same settings as in rope_parameters");
    EXPECT_HAS(refusal(llama({{"model_type", nullptr}, {"architectures", {"MistralForCausalLM"}}})), "architectures");
    EXPECT_EQ(refusal(llama({{"sliding_window", nullptr}, {"layer_types", {"full_attention"}}})), "accepted");
}

TEST_F(HuggingFaceConfigFile, of_every_class_has_the_biases_and_norms_of_the_class) {
    const auto biases = [](const ModelConfig& m) { return std::vector<bool>{m.qkv_bias, m.output_bias, m.mlp_bias}; };
    const ModelConfig plain = read(llama({{"mlp_bias", true}})).model;
    EXPECT_EQ(biases(plain), (std::vector<bool>{false, false, true}));
    const ModelConfig all = read(llama({{"attention_bias", true}, {"mlp_bias", true}})).model;
    EXPECT_EQ(biases(all), (std::vector<bool>{true, true, true}));
    const json no_window = {{"model_type", "mistral"}, {"num_key_value_heads", 8}};
    json mistral = json::parse(llama(no_window));
    mistral["sliding_window"] = nullptr;
    EXPECT_EQ(biases(read(mistral.dump()).model), (std::vector<bool>{false, false, false}));
    const ModelConfig qwen2 = read(llama({{"model_type", "qwen2"}, {"sliding_window", 131072}})).model;
    EXPECT_EQ(biases(qwen2), (std::vector<bool>{true, false, false}));
    EXPECT_EQ(qwen2.qk_norm, QkNormKind::none);
    const ModelConfig qwen3 = read(llama({{"model_type", "qwen3"}, {"head_dim", 96}})).model;
    EXPECT_EQ(biases(qwen3), (std::vector<bool>{false, false, false}));
    EXPECT_EQ(qwen3.qk_norm, QkNormKind::head);
    EXPECT_EQ(qwen3.head_dim, 96);
    const ModelConfig olmo2 = read(llama({{"model_type", "olmo2"}, {"rms_norm_eps", nullptr}})).model;
    EXPECT_EQ(olmo2.architecture, Architecture::reordered);
    EXPECT_EQ(olmo2.qk_norm, QkNormKind::projection);
    EXPECT_EQ(olmo2.norm_eps, 1e-5);
    EXPECT_EQ(biases(read(llama({{"model_type", "qwen3"}, {"head_dim", 96}, {"attention_bias", true}})).model),
              (std::vector<bool>{true, true, false}));
}

TEST_F(HuggingFaceConfigFile, whose_absent_keys_have_defaults_of_the_class_must_have_them) {
    EXPECT_HAS(refusal(llama({{"model_type", "qwen3"}})), "head_dim is missing");
    EXPECT_HAS(refusal(llama({{"model_type", "qwen2"}, {"num_key_value_heads", nullptr}})),
               "num_key_value_heads is missing");
}

TEST_F(HuggingFaceConfigFile, with_a_window_is_written_for_the_class_and_read_back) {
    struct Case {
        ModelConfig model;
        const char* type;
        bool in_gpas;
    };
    for (const Case& c : {Case{{.architecture = Architecture::pre, .sliding_window = 33}, "mistral", false},
                          Case{{.architecture = Architecture::pre, .qkv_bias = true}, "qwen2", false},
                          Case{{.architecture = Architecture::pre, .qk_norm = QkNormKind::head}, "qwen3", false},
                          Case{{.architecture = Architecture::pre, .mlp_bias = true}, "gpas_llama", true},
                          Case{{.architecture = Architecture::pre_gpas}, "gpas_llama", true}}) {
        ModelConfig model = c.model;
        model.sliding_window = 33;
        const std::string text = hugging_face_config_text({.model = model}, StoredDtype::bf16);
        EXPECT_EQ(model_overrides(read(text).model), model_overrides(model)) << text;
        const json written = json::parse(text);
        EXPECT_EQ(written.at("model_type"), c.type);
        EXPECT_EQ((c.in_gpas ? written.at("gpas") : written).at("sliding_window"), 33);
        if (std::string(c.type).starts_with("qwen")) {
            EXPECT_EQ(written.at("use_sliding_window"), true);
            EXPECT_EQ(written.at("max_window_layers"), 0);
        }
    }
}

TEST_F(HuggingFaceConfigFile, with_a_window_is_read_as_transformers_reads_it) {
    const auto window = [&](const json& changes) { return read(llama(changes)).model.sliding_window; };
    EXPECT_EQ(window({{"model_type", "mistral"}, {"sliding_window", 77}}), 77);
    const HuggingFaceConfig absent = read(llama({{"model_type", "mistral"}}));
    EXPECT_EQ(absent.model.sliding_window, 4096);
    ASSERT_EQ(absent.notes.size(), 1U);
    EXPECT_HAS(absent.notes[0], "has no sliding_window: 4096");
    EXPECT_EQ(window({{"model_type", "qwen2"}, {"sliding_window", 77}}), 0);
    json qwen = {{"model_type", "qwen2"}, {"use_sliding_window", true}, {"sliding_window", 77}};
    EXPECT_HAS(refusal(llama(qwen)), "max_window_layers: found 28, expected 0 (a window in all 32 layers), or at");
    qwen["max_window_layers"] = 32;
    EXPECT_EQ(window(qwen), 0);
    qwen["max_window_layers"] = 0;
    EXPECT_EQ(window(qwen), 77);
    qwen["layer_types"] = std::vector<std::string>(32, "sliding_attention");
    EXPECT_EQ(window(qwen), 77);
    qwen["layer_types"][31] = "full_attention";
    EXPECT_HAS(refusal(llama(qwen)), "layer_types: found \"full_attention\", expected sliding_attention");
}

TEST_F(HuggingFaceConfigFile, with_a_window_that_is_no_window_is_refused) {
    for (const char* type : {"mistral", "qwen2"})
        for (const json& found : {json(0), json(-1), json("all"), json(1.5)})
            EXPECT_HAS(refusal(llama({{"model_type", type}, {"sliding_window", found}})), "sliding_window: found ");
}

TEST_F(HuggingFaceConfigFile, names_the_class_that_computes_the_model) {
    struct Case {
        bool qkv, output, mlp;
        QkNormKind norm;
        const char* type;
        Architecture architecture = Architecture::pre;
    };
    for (const Case& c : {Case{false, false, false, QkNormKind::none, "llama"},
                          {true, true, true, QkNormKind::none, "llama"},
                          {false, false, true, QkNormKind::none, "llama"},
                          {true, false, false, QkNormKind::none, "qwen2"},
                          {false, false, false, QkNormKind::head, "qwen3"},
                          {true, true, false, QkNormKind::head, "qwen3"},
                          {true, false, true, QkNormKind::none, "gpas_llama"},
                          {false, true, false, QkNormKind::none, "gpas_llama"},
                          {true, false, false, QkNormKind::head, "gpas_llama"},
                          {false, false, false, QkNormKind::projection, "gpas_llama"},
                          {false, false, false, QkNormKind::projection, "olmo2", Architecture::reordered},
                          {true, true, false, QkNormKind::projection, "olmo2", Architecture::reordered},
                          {false, false, false, QkNormKind::none, "gpas_llama", Architecture::reordered},
                          {false, false, false, QkNormKind::projection, "gpas_llama", Architecture::reordered_gpas}}) {
        ModelConfig model;
        model.architecture = c.architecture;
        model.head_dim = 32;
        model.kv_heads = 2;
        model.qkv_bias = c.qkv;
        model.output_bias = c.output;
        model.mlp_bias = c.mlp;
        model.qk_norm = c.norm;
        const std::string text = hugging_face_config_text({.model = model}, StoredDtype::bf16);
        EXPECT_EQ(json::parse(text).at("model_type"), c.type) << text;
        EXPECT_EQ(model_overrides(read(text).model), model_overrides(model)) << text;
    }
}

TEST_F(HuggingFaceConfigFile, of_a_gated_model_has_no_defaults) {
    ModelConfig model;
    model.architecture = Architecture::lns_gpas;
    const json whole = json::parse(hugging_face_config_text({.model = model}, StoredDtype::bf16));
    EXPECT_EQ(refusal(whole.dump()), "accepted");
    for (const char* key : {"architecture", "lns", "gate_function", "gate_scale", "gate_per_sublayer"}) {
        json bad = whole;
        bad["gpas"].erase(key);
        EXPECT_HAS(refusal(bad.dump()), fmt::format("gpas.{} is missing", key));
    }
    EXPECT_HAS(refusal(llama({{"model_type", "gpas_llama"}})), "the object \"gpas\" is missing");
}

TEST_F(HuggingFaceConfigFile, of_mix_ln_takes_the_number_of_post_layers) {
    std::ofstream(file_) << llama();
    EXPECT_EQ(read_hugging_face_config(file_, "post_pre", 5).model.mix_post_layers, 5);
    EXPECT_EQ(read_hugging_face_config(file_, "post_pre_gpas", 32).model.mix_post_layers, 32);
    EXPECT_THROW(read_hugging_face_config(file_, "post_pre", 33), Error);
    EXPECT_THROW(read_hugging_face_config(file_, "pre", 5), Error);
}

TEST(HuggingFaceShape, that_transformers_refuses_is_reported) {
    EXPECT_EQ(shape_that_transformers_refuses({.hidden_size = 32, .heads = 4}), "");
    EXPECT_HAS(shape_that_transformers_refuses({.hidden_size = 32, .heads = 5, .head_dim = 8}),
               "hidden_size 32 is not a multiple of num_attention_heads 5");
    EXPECT_HAS(shape_that_transformers_refuses({.hidden_size = 32, .heads = 4, .init_std = 1.5}),
               "initializer_range 1.5 is above 1");
}

TEST_F(HuggingFaceConfigFile, with_absurd_or_broken_values_is_refused) {
    EXPECT_HAS(refusal(llama({{"hidden_size", nullptr}})), "hidden_size is missing");
    EXPECT_HAS(refusal(llama({{"hidden_size", 1LL << 62}})), "hidden_size: found 4611686018427387904");
    EXPECT_HAS(refusal(llama({{"hidden_size", 1LL << 39}})), "model.hidden_size");
    EXPECT_HAS(refusal(llama({{"hidden_size", -4096}})), "hidden_size: found -4096, expected an integer >= 0");
    EXPECT_HAS(refusal(llama({{"hidden_size", "4096"}})), "hidden_size: found \"4096\"");
    EXPECT_HAS(refusal(llama({{"hidden_size", 4097}})), "model.heads");
    EXPECT_HAS(refusal(llama({{"num_attention_heads", 0}})), "model.heads");
    EXPECT_HAS(refusal(llama({{"num_hidden_layers", 1 << 30}})), "model.layers");
    EXPECT_HAS(refusal(llama({{"num_key_value_heads", 5}})), "model.kv_heads");
    EXPECT_HAS(refusal(llama({{"rms_norm_eps", "x"}})), "rms_norm_eps: found \"x\", expected a number");
    EXPECT_HAS(refusal(llama({{"tie_word_embeddings", 1}})), "expected true or false");
    EXPECT_HAS(refusal("{"), "is not JSON");
    EXPECT_HAS(refusal("[]"), "is not a JSON object");
    EXPECT_HAS(refusal(std::string(100000, '[')), "nested deeper than 16 levels");
    EXPECT_HAS(refusal(std::string(17 << 20, ' ')), "expected a model configuration of at most");
    std::filesystem::remove(file_);
    EXPECT_THROW(read_hugging_face_config(file_, ""), Error);
}

}  // namespace
}  // namespace gpas
