// Conversion to and from Hugging Face's format: of every row, bit by bit, on any number of ranks.
#include "engine/convert/convert.hpp"
#include "engine/convert/fold.hpp"
#include "engine/convert/logits.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/config/describe.hpp"
#include "io/config/enum_names.hpp"
#include "io/hugging_face/config.hpp"
#include "kernels/error.hpp"
#include "kernels/philox.hpp"
#include "parallel/mpi_communicator.hpp"
#include "tests/support/tiny_run.hpp"

#include <gtest/gtest.h>

#include <fstream>

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
    int number = 0;
    for (const EnumName<Architecture>& row : enum_names<Architecture>())
        for (const std::vector<std::string>& more : {std::vector<std::string>{},
                                                     {"model.kv_heads=2", "model.head_dim=10"},
                                                     {"model.tied_embeddings=true", "model.embedding_init=normal"},
                                                     {"model.gate.per_sublayer=true"}}) {
            if (!row.name.ends_with("_gpas") && !more.empty() && more.front().starts_with("model.gate")) continue;
            std::vector<std::string> changes = more;
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
                expected.mix_post_layers = run.model.layers / 4;  // now in so many words
            EXPECT_EQ(model_overrides(load_config_text(back.header().config, "test").values.model),
                      model_overrides(expected));
            ASSERT_EQ(back.tensors().size(), weights_.size());
            for (const auto& [parameter, values] : weights_)
                EXPECT_EQ(back.read("weights/" + parameter), values) << parameter;
            weights_.clear();
        }
    EXPECT_GE(number, 12 * 3 + 6);
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
            if (std::string(row).starts_with("lns")) changes.push_back("model.lns=output");
            const RunConfig run = config(changes);
            const std::string name = std::string(row) + gate;
            ConvertOptions to = options(checkpoint(name, run), name + "_hf");
            to.fold_gates = true;
            const Fold fold = fold_gates(run.model, weights());
            EXPECT_TRUE(is_plain_llama(fold.model));
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
    for (const char* row : {"sandwich_gpas", "post_gpas", "deeppost_gpas", "post_pre_gpas"}) {
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
               "which is not a file beside it");
    EXPECT_HAS(changed("no index",
                       [&](const fs::path& bad) {
                           std::ofstream(bad / "model.safetensors.index.json") << R"({"weights":[]})";
                       }),
               "is no index of safetensors");
    EXPECT_HAS(changed("cut", [&](const fs::path& bad) { fs::resize_file(bad / "model.safetensors", 5000); }),
               "model.safetensors: ");
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
