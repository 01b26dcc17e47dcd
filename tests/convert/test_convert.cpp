// Conversion to and from Hugging Face's format: of every row, bit by bit, on any number of ranks.
#include "base/error.hpp"
#include "engine/convert/convert.hpp"
#include "engine/convert/fold.hpp"
#include "engine/convert/logits.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/config/describe.hpp"
#include "io/config/enum_names.hpp"
#include "io/data/indexed_writer.hpp"
#include "io/data/tokenizer.hpp"
#include "io/data/tokenizer_training.hpp"
#include "io/hugging_face/config.hpp"
#include "io/hugging_face/model_class.hpp"
#include "kernels/philox.hpp"
#include "parallel/mpi/mpi_communicator.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

namespace gpas {
namespace {

namespace fs = std::filesystem;
using namespace tiny_run;

// No weight, norm or gate as a new model has it; gates both ways, some of them beyond 1.
std::vector<float> values_of(const ParameterSpec& spec) {
    std::vector<float> values(std::size_t(spec.elements()));
    std::uint32_t key = 7;
    for (const char c : spec.name) key = key * 31 + std::uint32_t(c);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float u = float(philox({std::uint32_t(i), 0, 0, 0}, key, 5)[0]) / 4294967296.0F - 0.5F;
        values[i] = spec.kind == ParameterKind::norm ? 1.0F + u : spec.kind == ParameterKind::gate ? 6.0F * u : u;
    }
    return values;
}

std::string text_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

class Convert : public testing::Test {
protected:
    RunConfig config(const std::vector<std::string>& changes) const {
        std::vector<std::string> all = changes;
        for (const char* size : {"model.vocab_size=61", "model.hidden_size=24", "model.ffn_size=37", "model.layers=5",
                                 "model.heads=4", "data.sequence_length=16"})
            all.push_back(size);
        return load_config_text("name: tiny\n", "test", all).values;
    }
    // A checkpoint, and its weights by name.
    fs::path checkpoint(const std::string& name, const RunConfig& config) {
        std::vector<StateTensor> tensors;
        for (const ParameterSpec& spec : parameter_specs(config.model, config.optimizer)) {
            weights_[spec.name] = values_of(spec);
            tensors.push_back({.name = "weights/" + spec.name,
                               .global_shape = spec.shape,
                               .start = std::vector<std::int64_t>(spec.shape.size(), 0),
                               .count = spec.shape,
                               .data = weights_[spec.name].data()});
        }
        return save_checkpoint(*self_, directory_ / name, {.software = "test", .config = dump_config(config)}, tensors);
    }
    ConvertOptions options(const fs::path& source, const std::string& target) {
        said_.clear();
        return {.source = source,
                .target = directory_ / target,
                .dtype = StoredDtype::fp32,
                .say = [this](const std::string& line) { said_ += line + "\n"; }};
    }
    std::string refusal(const std::function<void()>& body, ExitCode code) const {
        try {
            body();
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code) << error.what();
            EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
            return error.what();
        }
        ADD_FAILURE() << "was accepted";
        return {};
    }
    Weights weights() const {
        return [this](const std::string& name) { return weights_.at(name); };
    }

    Directory directory_;
    std::unique_ptr<Communicator> self_ = make_self_communicator();
    std::map<std::string, std::vector<float>> weights_;
    std::string said_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(Convert, there_and_back_changes_no_bit_of_any_row) {
    using Settings = std::vector<std::string>;
    const std::vector<Settings> variants{
        {},
        {"model.kv_heads=2", "model.head_dim=10", "model.rope_base=500000", "model.norm_eps=1e-5"},
        {"model.tied_embeddings=true", "model.embedding_init=normal"},
        {"model.kv_heads=2", "model.qkv_bias=true", "model.output_bias=true", "model.mlp_bias=true"},
        {"model.kv_heads=2", "model.qkv_bias=true", "model.qk_norm=head"},
        {"model.kv_heads=2", "model.output_bias=true", "model.qk_norm=projection"},
        {"model.gate.per_sublayer=true"}};
    int number = 0, rows = 0;
    for (const EnumName<Architecture>& row : enum_names<Architecture>()) {
        ++rows;
        for (std::size_t variant = 0; variant < variants.size(); ++variant) {
            const Settings& more = variants[variant];
            const bool of_gates = variant + 1 == variants.size();
            if (of_gates && !row.name.ends_with("_gpas")) continue;
            // Each row as it is, with its gates, and with every fifth of the others; each variant with several rows.
            const bool in_turn = variant == 0 || of_gates || variant == 1 + std::size_t(rows) % 5;
            if (!in_turn && !test_support::exhaustive()) continue;
            Settings changes = more;
            changes.push_back("model.architecture=" + std::string(row.name));
            SCOPED_TRACE(fmt::format("{} {}", row.name, more.empty() ? "" : more.front()));
            const RunConfig run = config(changes);
            const std::string name = std::to_string(++number);
            const fs::path source = checkpoint(name, run);
            export_hugging_face(*self_, options(source, name + "_hf"));
            EXPECT_HAS(said_, "differ by at most 0 ");
            import_hugging_face(*self_, options(directory_ / (name + "_hf"), name + "_back"));
            EXPECT_HAS(said_, "differ by at most 0 ");
            const CheckpointFile back(directory_ / (name + "_back/checkpoints/step_00000000.h5"));
            ModelConfig expected = run.model;
            if (row.name.starts_with("post_pre"))
                expected.mix_post_layers = run.model.layers / 4;  // the value of the default, written out
            EXPECT_EQ(model_overrides(load_config_text(back.header().config, "test").values.model),
                      model_overrides(expected));
            ASSERT_EQ(back.tensors().size(), weights_.size());
            for (const auto& [parameter, values] : weights_)
                EXPECT_EQ(back.read("weights/" + parameter), values) << parameter;
            weights_.clear();
        }
    }
    EXPECT_GE(rows, 12);
    EXPECT_GE(number, 12 * 2 + 6);
}

TEST_F(Convert, to_bf16_and_fp16_rounds_once) {
    const fs::path source = checkpoint("run", config({"model.architecture=pre"}));
    for (const StoredDtype dtype : {StoredDtype::bf16, StoredDtype::fp16}) {
        const std::string name = safetensors_name(dtype);
        ConvertOptions to = options(source, name);
        to.dtype = dtype;
        export_hugging_face(*self_, to);
        EXPECT_HAS(said_, "logits of source and result differ by at most");
        import_hugging_face(*self_, options(directory_ / name, name + "_back"));
        const CheckpointFile back(directory_ / (name + "_back/checkpoints/step_00000000.h5"));
        for (const auto& [parameter, values] : weights_) {
            std::vector<float> rounded = values;
            for (float& value : rounded) value = from_stored(dtype, to_stored(dtype, value));
            EXPECT_EQ(back.read("weights/" + parameter), rounded) << parameter;
        }
    }
}

TEST_F(Convert, in_shards_is_the_same) {
    const fs::path source = checkpoint("run", config({"model.architecture=pre_gpas"}));
    ConvertOptions to = options(source, "shards");
    to.shard_bytes = 20000;
    export_hugging_face(*self_, to);
    EXPECT_TRUE(fs::exists(directory_ / "shards/model.safetensors.index.json"));
    EXPECT_TRUE(fs::exists(directory_ / "shards/model-00002-of-00006.safetensors"));
    import_hugging_face(*self_, options(directory_ / "shards", "back"));
    const CheckpointFile back(directory_ / "back/checkpoints/step_00000000.h5");
    for (const auto& [parameter, values] : weights_) EXPECT_EQ(back.read("weights/" + parameter), values) << parameter;
}

TEST_F(Convert, folds_gates_into_a_plain_llama) {
    for (const char* row : {"pre_gpas", "lns_gpas", "lns"})
        for (const char* gate : {"model.gate.per_sublayer=false", "model.gate.per_sublayer=true"}) {
            if (std::string(row) == "lns" && std::string(gate).ends_with("true")) continue;
            SCOPED_TRACE(fmt::format("{} {}", row, gate));
            std::vector<std::string> changes{std::string("model.architecture=") + row, gate, "model.norm_eps=1e-12"};
            if (std::string(row) == "pre_gpas")
                for (const char* bias : {"qkv", "output", "mlp"})
                    changes.push_back(fmt::format("model.{}_bias=true", bias));
            if (std::string(row).starts_with("lns")) changes.push_back("model.lns=output");
            const RunConfig run = config(changes);
            const std::string name = std::string(row) + gate;
            ConvertOptions to = options(checkpoint(name, run), name + "_hf");
            to.fold_gates = true;
            const Fold fold = fold_gates(run.model, weights());
            EXPECT_NE(class_of(fold.model), nullptr);
            bool negative = false;
            for (const auto& [parameter, factor] : fold.factors) negative = negative || factor < 0;
            EXPECT_EQ(negative, std::string(row) != "lns");  // the gates go beyond 1 at times
            const ProbeTokens tokens = probe_tokens("", 16, run.model.vocab_size);
            const LogitsDifference difference =
                compare_logits(logits_of(run.model, weights(), tokens, 1),
                               logits_of(fold.model, apply(fold, weights()), tokens, 1), run.model.vocab_size);
            EXPECT_LT(difference.largest, 2e-5 * difference.of);  // fp32 rounding, over ten sites
            EXPECT_EQ(difference.same_top, difference.positions);
            export_hugging_face(*self_, to);
            EXPECT_EQ(said_.find("gpas_llama"), std::string::npos) << said_;
            EXPECT_HAS(text_of(directory_ / (name + "_hf/config.json")), "LlamaForCausalLM");
            EXPECT_EQ(text_of(directory_ / (name + "_hf/model.safetensors")).find("gpas_block"), std::string::npos);
            weights_.clear();
        }
}

TEST_F(Convert, does_not_fold_what_no_plain_llama_is) {
    for (const char* row : {"sandwich_gpas", "post_gpas", "deeppost_gpas", "post_pre_gpas", "reordered_gpas"}) {
        ConvertOptions to = options(checkpoint(row, config({std::string("model.architecture=") + row})), "hf");
        to.fold_gates = true;
        EXPECT_HAS(refusal([&] { export_hugging_face(*self_, to); }, ExitCode::usage), row);
    }
    const RunConfig run = config({"model.architecture=pre_gpas", "model.gate.function=identity"});
    ConvertOptions to = options(checkpoint("closed", run), "hf");
    weights_["layers.3.gate"] = {1.0F};
    EXPECT_HAS(refusal([&] { fold_gates(run.model, weights()); }, ExitCode::usage),
               "layers.3.gate lets nothing through");
    EXPECT_FALSE(fs::exists(directory_ / "hf"));
}

TEST_F(Convert, writes_into_new_directories_only_and_leaves_nothing_half) {
    const fs::path source = checkpoint("run", config({"model.architecture=pre"}));
    fs::create_directories(directory_ / "full");
    std::ofstream(directory_ / "full/file") << "mine";
    EXPECT_HAS(refusal([&] { export_hugging_face(*self_, options(source, "full")); }, ExitCode::usage),
               "exists already");
    std::ofstream(directory_ / "file");
    EXPECT_HAS(refusal([&] { export_hugging_face(*self_, options(source, "file")); }, ExitCode::usage),
               "exists already");
    EXPECT_HAS(refusal([&] { export_hugging_face(*self_, options(source, "file/below")); }, ExitCode::environment),
               "cannot be created");
    ConvertOptions to = options(source, "half");
    to.dtype = StoredDtype::fp16;
    const RunConfig run = config({"model.architecture=pre"});
    weights_.clear();
    to.source = checkpoint("run2", run);
    // A value that does not fit shows in the middle of the file.
    {
        std::vector<StateTensor> tensors;
        for (auto& [name, values] : weights_) {
            if (name == "final_norm.weight") values[3] = 1e6F;
            for (const ParameterSpec& spec : parameter_specs(run.model, run.optimizer))
                if (spec.name == name)
                    tensors.push_back({.name = "weights/" + name,
                                       .global_shape = spec.shape,
                                       .start = std::vector<std::int64_t>(spec.shape.size(), 0),
                                       .count = spec.shape,
                                       .data = values.data()});
        }
        to.source =
            save_checkpoint(*self_, directory_ / "large", {.software = "test", .config = dump_config(run)}, tensors);
    }
    EXPECT_HAS(refusal([&] { export_hugging_face(*self_, to); }, ExitCode::bad_file),
               "model.norm.weight: 1000000 does not fit");
    EXPECT_FALSE(fs::exists(directory_ / "half"));
}

TEST_F(Convert, refuses_models_that_are_not_what_they_say) {
    const RunConfig run = config({"model.architecture=pre_gpas"});
    export_hugging_face(*self_, options(checkpoint("run", run), "good"));
    const auto changed = [&](const char* name, const std::function<void(const fs::path&)>& change) {
        const fs::path bad = directory_ / name;
        fs::remove_all(bad);
        fs::copy(directory_ / "good", bad);
        change(bad);
        const std::string message = refusal(
            [&] { import_hugging_face(*self_, options(bad, std::string(name) + "_back")); }, ExitCode::bad_file);
        EXPECT_FALSE(fs::exists(directory_ / (std::string(name) + "_back/config.yaml")));
        return message;
    };
    const auto replace = [](const fs::path& file, const std::string& from, const std::string& to) {
        std::string text = text_of(file);
        const std::size_t at = text.find(from);
        ASSERT_NE(at, std::string::npos);
        std::ofstream(file, std::ios::binary) << text.replace(at, from.size(), to);
    };
    EXPECT_HAS(changed("plain", [&](const fs::path& bad) { replace(bad / "config.json", "pre_gpas", "pre"); }),
               "model.layers.0.gpas_block.gate is not in the model");
    EXPECT_HAS(
        changed("deeper", [&](const fs::path& bad) { replace(bad / "config.json", "_layers\": 5", "_layers\": 6"); }),
        "model.layers.5.gpas_block.gate is missing");
    EXPECT_HAS(
        changed("wider",
                [&](const fs::path& bad) { replace(bad / "config.json", "\"vocab_size\": 61", "\"vocab_size\": 62"); }),
        "lm_head.weight is [61, 24], the model has [62, 24]");
    EXPECT_HAS(changed("pickled",
                       [&](const fs::path& bad) { fs::rename(bad / "model.safetensors", bad / "pytorch_model.bin"); }),
               "pickled weights run code");
    EXPECT_HAS(changed("empty", [&](const fs::path& bad) { fs::remove(bad / "model.safetensors"); }),
               "has neither model.safetensors");
    EXPECT_HAS(changed("index",
                       [&](const fs::path& bad) {
                           std::ofstream(bad / "model.safetensors.index.json")
                               << R"({"weight_map":{"a":"../../etc/passwd"}})";
                       }),
               "which is not a file in the same directory");
    EXPECT_HAS(changed("no index",
                       [&](const fs::path& bad) {
                           std::ofstream(bad / "model.safetensors.index.json") << R"({"weights":[]})";
                       }),
               "is not an index of safetensors");
    EXPECT_HAS(changed("cut", [&](const fs::path& bad) { fs::resize_file(bad / "model.safetensors", 5000); }),
               "model.safetensors: ");
}

// The tensors of a directory that is already exported, with one value replaced.
void overwrite(const fs::path& directory, const std::string& tensor, std::int64_t element, float value) {
    std::optional<std::int64_t> at;
    for (const auto& entry : fs::directory_iterator(directory)) {
        if (entry.path().extension() != ".safetensors") continue;
        const SafetensorsFile file(entry.path());
        const SafetensorsEntry* found = file.find(tensor);
        if (found == nullptr) continue;
        const StoredDtype dtype = found->dtype == "F32"    ? StoredDtype::fp32
                                  : found->dtype == "BF16" ? StoredDtype::bf16
                                                           : StoredDtype::fp16;
        const std::int64_t data = std::int64_t(fs::file_size(entry.path())) - file.entries().back().end;
        at = data + found->begin + element * bytes_of(dtype);
        std::fstream out(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
        out.seekp(*at);
        const std::uint16_t bits = dtype == StoredDtype::fp32 ? 0 : to_stored(dtype, value);
        if (dtype == StoredDtype::fp32)
            out.write(reinterpret_cast<const char*>(&value), sizeof(value));
        else
            out.write(reinterpret_cast<const char*>(&bits), sizeof(bits));
    }
    ASSERT_TRUE(at.has_value()) << tensor;
}

TEST_F(Convert, refuses_nan_and_inf_by_tensor_and_element_and_leaves_nothing) {
    const fs::path source = checkpoint("run", config({"model.architecture=pre_gpas"}));
    int number = 0;
    for (const StoredDtype dtype : {StoredDtype::fp32, StoredDtype::bf16, StoredDtype::fp16})
        for (const auto& [tensor, element, place] :
             {std::tuple{"model.layers.3.mlp.down_proj.weight", 37 * 2 + 5, "down_proj.weight[2, 5]"},
              std::tuple{"model.layers.0.gpas_block.gate", 0, "gpas_block.gate[]"},
              std::tuple{"model.norm.weight", 23, "model.norm.weight[23]"},
              std::tuple{"model.layers.4.self_attn.v_proj.weight", 0, "v_proj.weight[0, 0]"}}) {
            const float value = std::array{NAN, INFINITY, -INFINITY}[std::size_t(number % 3)];
            const std::string name = fmt::format("bad{}", ++number);
            ConvertOptions to = options(source, name);
            to.dtype = dtype;
            to.shard_bytes = 20000;
            to.logits = false;
            export_hugging_face(*self_, to);
            overwrite(directory_ / name, tensor, element, value);
            const std::string message =
                refusal([&] { import_hugging_face(*self_, options(directory_ / name, "back")); }, ExitCode::bad_file);
            EXPECT_HAS(message, place);
            EXPECT_HAS(message, std::isnan(value) ? "is nan" : value > 0 ? "is inf" : "is -inf");
            EXPECT_FALSE(fs::exists(directory_ / "back"));
            EXPECT_FALSE(fs::exists(directory_ / ".back.tmp"));
        }
}

TEST_F(Convert, does_not_export_nan) {
    const RunConfig run = config({"model.architecture=pre"});
    std::vector<StateTensor> tensors;
    for (const ParameterSpec& spec : parameter_specs(run.model, run.optimizer)) {
        weights_[spec.name] = values_of(spec);
        if (spec.name == "final_norm.weight") weights_[spec.name][3] = NAN;
        tensors.push_back({.name = "weights/" + spec.name,
                           .global_shape = spec.shape,
                           .start = std::vector<std::int64_t>(spec.shape.size(), 0),
                           .count = spec.shape,
                           .data = weights_[spec.name].data()});
    }
    const fs::path source =
        save_checkpoint(*self_, directory_ / "run", {.software = "test", .config = dump_config(run)}, tensors);
    EXPECT_HAS(refusal([&] { export_hugging_face(*self_, options(source, "hf")); }, ExitCode::bad_file),
               "model.norm.weight[3] is nan");
    EXPECT_FALSE(fs::exists(directory_ / "hf"));
    EXPECT_FALSE(fs::exists(directory_ / ".hf.tmp"));
}

const nlohmann::json& goldens() {
    static const nlohmann::json root = [] {
        std::ifstream file(GPAS_BPE_GOLDENS);
        return nlohmann::json::parse(file);
    }();
    return root;
}

class ConvertTokenizer : public Convert {
protected:
    void SetUp() override {
        std::ofstream(directory_ / "t.model", std::ios::binary) << model();
        write_tokens("eos", {{5, 6, 2}, {7, 2}, {8, 9, 2}});
        write_tokens("plain", {{5, 6}, {7}, {8, 9}});
        write_tokens("both", {{1, 6, 2}, {1, 2}, {1, 9, 2}});
    }
    // 285 pieces, <s> and </s> among them.
    static const std::string& model() {
        static const std::string bytes = [] {
            bool given = false;
            return train_tokenizer({TokenizerType::bpe, 285}, [&](std::string& text) {
                text = "the cat sat on the mat and never stopped walking through her garden";
                return !std::exchange(given, true);
            });
        }();
        return bytes;
    }
    void write_tokens(const std::string& name, const std::vector<std::vector<std::int32_t>>& documents) const {
        IndexedDatasetWriter writer(directory_ / name, TokenDtype::uint16);
        for (const std::vector<std::int32_t>& document : documents) {
            writer.append(document);
            writer.end_document();
        }
        writer.finish();
    }
    RunConfig with_tokenizer(std::int64_t vocab_size, const std::string& tokens) const {
        RunConfig run = config({"model.architecture=pre"});
        run.model.vocab_size = vocab_size;
        run.data.tokenizer = directory_ / "t.model";
        if (!tokens.empty()) run.data.train = {{directory_ / tokens, 1.0}};
        return run;
    }
    nlohmann::json written(const std::string& file) const { return nlohmann::json::parse(text_of(directory_ / file)); }
};

TEST_F(ConvertTokenizer, exports_the_special_tokens_that_training_saw) {
    const auto exported = [&](const std::string& tokens) {
        const std::string name = "hf_" + tokens;
        export_hugging_face(*self_, options(checkpoint("run_" + tokens, with_tokenizer(300, tokens)), name));
        return std::pair{written(name + "/config.json"), written(name + "/tokenizer_config.json")};
    };
    {
        const auto [config, tokenizer] = exported("eos");
        EXPECT_TRUE(config.at("bos_token_id").is_null());
        EXPECT_EQ(config.at("eos_token_id"), 2);
        EXPECT_TRUE(tokenizer.at("bos_token").is_null());
        EXPECT_EQ(tokenizer.at("eos_token"), "</s>");
        EXPECT_FALSE(written("hf_eos/generation_config.json").contains("bos_token_id"));
        EXPECT_TRUE(fs::exists(directory_ / "hf_eos/tokenizer.json"));
        EXPECT_TRUE(text_of(directory_ / "hf_eos/tokenizer.model") == model());
    }
    {
        const auto [config, tokenizer] = exported("plain");
        EXPECT_TRUE(config.at("eos_token_id").is_null());
        EXPECT_TRUE(tokenizer.at("eos_token").is_null());
    }
    {
        const auto [config, tokenizer] = exported("both");
        EXPECT_EQ(config.at("bos_token_id"), 1);
        EXPECT_EQ(tokenizer.at("add_bos_token"), true);
    }
    EXPECT_EQ(exported("").first.at("eos_token_id"), 2);
}

TEST_F(ConvertTokenizer, keeps_the_ids_of_an_imported_model) {
    export_hugging_face(*self_, options(checkpoint("run", with_tokenizer(300, "eos")), "hf"));
    const auto change = [&](const std::string& file, const nlohmann::json& values) {
        nlohmann::json root = written(file);
        root.merge_patch(values);
        std::ofstream(directory_ / file) << root;
    };
    change("hf/config.json", {{"bos_token_id", 1}, {"eos_token_id", 2}, {"pad_token_id", 0}});
    change("hf/generation_config.json", {{"eos_token_id", {2, 9}}});
    change("hf/tokenizer_config.json", {{"add_bos_token", true}, {"bos_token", "<s>"}});
    import_hugging_face(*self_, options(directory_ / "hf", "back"));
    export_hugging_face(*self_, options(directory_ / "back/checkpoints/step_00000000.h5", "again"));
    const nlohmann::json config = written("again/config.json");
    EXPECT_EQ(config.at("bos_token_id"), 1);
    EXPECT_EQ(config.at("eos_token_id"), nlohmann::json({2, 9}));
    EXPECT_EQ(config.at("pad_token_id"), 0);
    EXPECT_EQ(written("again/generation_config.json").at("eos_token_id"), nlohmann::json({2, 9}));
    EXPECT_EQ(written("again/tokenizer_config.json").at("add_bos_token"), true);
    EXPECT_EQ(written("again/tokenizer_config.json").at("bos_token"), "<s>");
}

TEST_F(ConvertTokenizer, carries_the_original_files_of_an_imported_model) {
    const auto write = [&](const std::string& file, const std::string& text) {
        fs::create_directories(fs::path(directory_ / file).parent_path());
        std::ofstream(directory_ / file, std::ios::binary) << text;
    };
    write("tok/tokenizer.json", goldens()["tokenizers"]["llama3"]["file"].dump());
    RunConfig run = with_tokenizer(300, "");
    run.data.tokenizer = directory_ / "tok/tokenizer.json";
    export_hugging_face(*self_, options(checkpoint("run", run), "hf"));
    const std::map<std::string, std::string> originals{
        {"tokenizer.json", text_of(directory_ / "tok/tokenizer.json")},
        {"tokenizer_config.json", R"({"eos_token": {"content": "<|x|>"}, "chat_template": "{{ x }}"})"},
        {"special_tokens_map.json", R"({"eos_token": "<|x|>"})"},
        {"generation_config.json", R"({"eos_token_id": [293, 290], "temperature": 0.6})"},
        {"chat_template.jinja", "{{ messages }}\n"}};
    for (const auto& [name, text] : originals) write("hf/" + name, text);
    import_hugging_face(*self_, options(directory_ / "hf", "back"));
    const fs::path imported = directory_ / "back/checkpoints/step_00000000.h5";
    export_hugging_face(*self_, options(imported, "again"));
    for (const auto& [name, text] : originals) {
        EXPECT_EQ(text_of(directory_ / ("back/" + name)), text) << name;
        EXPECT_EQ(text_of(directory_ / ("again/" + name)), text) << name;
    }
    EXPECT_EQ(open_tokenizer(directory_ / "back/tokenizer.json")->eos_id(), 293);

    ConvertOptions other = options(imported, "other");  // the files of another tokenizer are not the model's
    other.tokenizer = directory_ / "tok/tokenizer.json";
    export_hugging_face(*self_, other);
    EXPECT_FALSE(fs::exists(directory_ / "other/chat_template.jinja"));
    EXPECT_EQ(written("other/tokenizer_config.json").at("tokenizer_class"), "PreTrainedTokenizerFast");
    EXPECT_EQ(written("other/generation_config.json").at("eos_token_id"), nlohmann::json({293, 290}));
    ConvertOptions none = options(directory_ / "hf", "none");
    none.tokenizer = "none";
    import_hugging_face(*self_, none);
    EXPECT_FALSE(fs::exists(directory_ / "none/tokenizer_config.json"));
}

TEST_F(ConvertTokenizer, exports_a_tekken_file_as_tokenizer_json) {
    const std::string bytes = goldens()["tekken"]["file"].dump();
    std::ofstream(directory_ / "tekken.json", std::ios::binary) << bytes;
    RunConfig run = with_tokenizer(300, "");
    run.data.tokenizer = directory_ / "tekken.json";
    export_hugging_face(*self_, options(checkpoint("run", run), "hf"));
    EXPECT_FALSE(fs::exists(directory_ / "hf/tekken.json"));
    EXPECT_EQ(written("hf/tokenizer_config.json").at("eos_token"), "</s>");
    EXPECT_EQ(written("hf/tokenizer_config.json").at("split_special_tokens"), true);
    const auto tekken = open_tokenizer(directory_ / "tekken.json"),
               json = open_tokenizer(directory_ / "hf/tokenizer.json");
    EXPECT_EQ(json->encode(" The cat, 123 \xc3\xa9"), tekken->encode(" The cat, 123 \xc3\xa9"));
}

TEST_F(ConvertTokenizer, refuses_a_tokenizer_that_does_not_fit) {
    EXPECT_HAS(refusal([&] { export_hugging_face(*self_, options(checkpoint("s", with_tokenizer(284, "")), "hf")); },
                       ExitCode::usage),
               "has 285 pieces, but the model has vocab_size 284");
    export_hugging_face(*self_, options(checkpoint("run", with_tokenizer(300, "")), "good"));
    const auto changed = [&](const std::string& name, const std::string& file, const std::string& text) {
        fs::copy(directory_ / "good", directory_ / name);
        std::ofstream(directory_ / (name + "/" + file), std::ios::binary) << text;
        const std::string message =
            refusal([&] { import_hugging_face(*self_, options(directory_ / name, "back")); }, ExitCode::bad_file);
        EXPECT_FALSE(fs::exists(directory_ / "back"));
        EXPECT_FALSE(fs::exists(directory_ / ".back.tmp"));
        ConvertOptions without = options(directory_ / name, name + "_back");
        without.tokenizer = "none";
        import_hugging_face(*self_, without);
        EXPECT_FALSE(fs::exists(directory_ / (name + "_back/tokenizer.model")));
        return message;
    };
    EXPECT_HAS(changed("added", "added_tokens.json", R"({"</s>": 2, "<pad>": 290})"),
               "added_tokens.json: token \"<pad>\" with id 290 is not a piece");
    EXPECT_HAS(changed("decoder", "tokenizer_config.json", R"({"added_tokens_decoder": {"290": {"content": "<x>"}}})"),
               "tokenizer_config.json: token \"<x>\" with id 290");
    EXPECT_HAS(changed("json", "tokenizer.json", R"({"added_tokens": [{"id": 290, "content": "<x>"}]})"),
               "tokenizer.json: token \"<x>\"");
    EXPECT_HAS(changed("tiktoken", "tokenizer.model", "IQ== 0\nIg== 1\nIw== 2\n"), "tiktoken");
    const std::string large = [] {
        bool given = false;
        return train_tokenizer({TokenizerType::bpe, 303}, [&](std::string& text) {
            text = "the cat sat on the mat and never stopped walking through her garden of many other words";
            return !std::exchange(given, true);
        });
    }();
    EXPECT_HAS(changed("large", "tokenizer.model", large), "has 303 pieces, but vocab_size in config.json is 300");
}

TEST_F(Convert, tells_of_a_shape_that_transformers_refuses) {
    RunConfig run = config({"model.architecture=pre"});
    run.model.heads = 5;
    run.model.head_dim = 8;
    export_hugging_face(*self_, options(checkpoint("run", run), "hf"));
    EXPECT_HAS(said_, "transformers 5 refuses to load this model: hidden_size 24 is not a multiple");
}

TEST_F(Convert, imports_mix_ln_with_any_number_of_post_layers) {
    const RunConfig run = config({"model.architecture=post_pre_gpas", "model.mix_post_layers=3"});
    export_hugging_face(*self_, options(checkpoint("run", run), "hf"));
    nlohmann::json paper = nlohmann::json::parse(text_of(directory_ / "hf/config.json"));
    paper.erase("gpas");  // as the paper's code writes it
    paper["model_type"] = "llama";
    std::ofstream(directory_ / "hf/config.json") << paper;
    ConvertOptions to = options(directory_ / "hf", "back");
    to.architecture = "post_pre_gpas";
    to.post_layers = 3;
    import_hugging_face(*self_, to);
    const CheckpointFile back(directory_ / "back/checkpoints/step_00000000.h5");
    EXPECT_EQ(load_config_text(back.header().config, "test").values.model.mix_post_layers, 3);
    for (const auto& [parameter, values] : weights_) EXPECT_EQ(back.read("weights/" + parameter), values) << parameter;
}

// Under mpirun: the ranks share the work, and the files are those of one.
class ConvertRanks : public Convert {};

TEST_F(ConvertRanks, write_the_files_that_one_rank_writes) {
    const std::unique_ptr<Communicator> world = MpiCommunicator(MPI_COMM_WORLD).duplicate();
    std::string place = directory_ / "";  // rank 0's
    broadcast(*world, place, 0, "test");
    std::string source;
    if (world->rank() == 0) source = checkpoint("run", config({"model.architecture=pre_gpas"})).string();
    broadcast(*world, source, 0, "test");
    const auto both = [&](Communicator& ranks, const std::string& name) {
        ConvertOptions to = options(source, "");
        to.target = place + name;
        to.shard_bytes = 20000;
        export_hugging_face(ranks, to);
        ConvertOptions back = options(place + name, "");
        back.target = place + name + "_back";
        import_hugging_face(ranks, back);
    };
    both(*world, "all");
    world->barrier("test");
    if (world->rank() != 0) return world->barrier("test");
    both(*self_, "one");
    int files = 0;
    for (const auto& entry : fs::directory_iterator(place + "one")) {
        EXPECT_EQ(text_of(entry.path()), text_of(fs::path(place + "all") / entry.path().filename())) << entry.path();
        ++files;
    }
    EXPECT_EQ(files, 9);  // six shards, index, two configurations
    const CheckpointFile all(place + "all_back/checkpoints/step_00000000.h5");
    for (const auto& [parameter, values] : weights_) EXPECT_EQ(all.read("weights/" + parameter), values) << parameter;
    world->barrier("test");
}

}  // namespace
}  // namespace gpas
