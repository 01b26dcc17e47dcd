#include "base/bytes_text.hpp"
#include "base/error.hpp"
#include "engine/convert/convert.hpp"
#include "engine/convert/fold.hpp"
#include "engine/convert/hugging_face_weights.hpp"
#include "engine/convert/original_files.hpp"
#include "engine/convert/shared.hpp"
#include "engine/convert/trained_tokens.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/config/architecture.hpp"
#include "io/config/enum_names.hpp"
#include "io/config/load.hpp"
#include "io/data/tokenizer.hpp"
#include "io/hugging_face/config.hpp"
#include "io/hugging_face/model_class.hpp"
#include "io/hugging_face/tokenizer.hpp"
#include "parallel/agree.hpp"

#include <nlohmann/json.hpp>

#include <cstring>
#include <memory>

namespace gpas {
namespace {

using std::filesystem::path;

struct Shard {
    std::string file;
    std::vector<HuggingFaceTensor> tensors;
    std::int64_t bytes = 0;
};

// Divides the tensors among files, in the order of the model. The tensors of one parameter are in the same file.
std::vector<Shard> shards_of(const std::vector<HuggingFaceTensor>& tensors, std::int64_t bytes_per_element,
                             std::int64_t most_bytes) {
    std::vector<Shard> shards(1);
    for (const HuggingFaceTensor& tensor : tensors) {
        const std::int64_t bytes = tensor.elements() * bytes_per_element;
        const bool same = !shards.back().tensors.empty() && shards.back().tensors.back().parameter == tensor.parameter;
        if (!same && shards.back().bytes > 0 && shards.back().bytes + bytes > most_bytes) shards.emplace_back();
        shards.back().tensors.push_back(tensor);
        shards.back().bytes += bytes;
    }
    for (std::size_t i = 0; i < shards.size(); ++i)
        shards[i].file = shards.size() == 1 ? "model.safetensors"
                                            : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    return shards;
}

// Reads tensors from the parameters. Caches the last parameter, since its tensors are written one after the other.
class LastRead {
public:
    explicit LastRead(Weights weights) : weights_(std::move(weights)) {}
    const std::vector<float>& operator()(const std::string& parameter) {
        if (parameter != name_) values_ = weights_(parameter);
        name_ = parameter;
        return values_;
    }

private:
    Weights weights_;
    std::string name_;
    std::vector<float> values_;
};

void write_shard(const path& directory, const Shard& shard, StoredDtype dtype, const Weights& weights) {
    SafetensorsPlan plan{.dtype = dtype, .metadata = {{"format", "pt"}}};
    for (const HuggingFaceTensor& tensor : shard.tensors) plan.tensors.push_back({tensor.name, tensor.shape});
    SafetensorsWriter writer(directory / shard.file, plan);
    LastRead read(weights);
    for (const HuggingFaceTensor& tensor : shard.tensors) {
        const std::vector<float> values = taken(tensor, read(tensor.parameter));
        check_finite(values, tensor.shape, tensor.name);
        writer.write(values);
    }
    writer.finish();
}

// Reads it back.
void verify_shard(const path& directory, const Shard& shard, StoredDtype dtype, const Weights& weights) {
    const SafetensorsFile file(directory / shard.file);
    LastRead read(weights);
    for (const HuggingFaceTensor& tensor : shard.tensors) {
        const SafetensorsEntry* entry = file.find(tensor.name);
        require(entry != nullptr && entry->shape == tensor.shape, "{}: {} is not what was written",
                file.path().string(), tensor.name);
        const std::vector<float> found = file.read(*entry);
        std::vector<float> expected = taken(tensor, read(tensor.parameter));
        if (dtype != StoredDtype::fp32)
            for (float& value : expected) value = from_stored(dtype, to_stored(dtype, value));
        if (std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) != 0)
            fail(ExitCode::environment, "{}: {} is not what was written: is the disk sound?", file.path().string(),
                 tensor.name);
    }
}

std::string index_text(const std::vector<Shard>& shards) {
    nlohmann::ordered_json index;
    std::int64_t bytes = 0;
    for (const Shard& shard : shards) bytes += shard.bytes;
    index["metadata"]["total_size"] = bytes;
    for (const Shard& shard : shards)
        for (const HuggingFaceTensor& tensor : shard.tensors) index["weight_map"][tensor.name] = shard.file;
    return index.dump(2) + "\n";
}

class Export {
public:
    Export(Communicator& world, const ConvertOptions& options) : world_(world), options_(options) {}

    void run() {
        agree(world_, [&] { open(); });
        NewDirectory directory(world_, options_.target);
        directory_ = directory.path();
        agree(world_, [&] {
            for (std::size_t i = std::size_t(world_.rank()); i < shards_.size(); i += std::size_t(world_.size())) {
                write_shard(directory_, shards_[i], options_.dtype, weights_);
                verify_shard(directory_, shards_[i], options_.dtype, weights_);
            }
        });
        agree(world_, [&] {
            if (leads()) finish(directory);
        });
    }

private:
    bool leads() const { return world_.rank() == 0; }

    void open() {
        check_new(options_.target);
        file_ = std::make_unique<CheckpointFile>(options_.source);
        run_ = stored_config(file_->header().config, options_.source.string(), file_->header().software);
        source_ = [this](const std::string& parameter) { return file_->read("weights/" + parameter); };
        weights_ = source_;
        config_.model = run_.model;
        config_.max_length = run_.data.sequence_length;
        if (options_.fold_gates) {
            const Fold fold = fold_gates(run_.model, source_);
            weights_ = apply(fold, source_);
            config_.model = fold.model;
        }
        open_tokenizer();
        shards_ = shards_of(hugging_face_tensors(config_.model), bytes_of(options_.dtype), options_.shard_bytes);
    }

    void open_tokenizer() {
        const std::string file = options_.tokenizer.empty() ? run_.data.tokenizer : options_.tokenizer;
        if (!file.empty() && file != "none" && (!options_.tokenizer.empty() || std::filesystem::exists(file))) {
            tokenizer_ = gpas::open_tokenizer(file);
            if (tokenizer_->vocab_size() > run_.model.vocab_size)
                fail(ExitCode::usage,
                     "{} has {} pieces, but the model has vocab_size {}; name the tokenizer of the training data with "
                     "--tokenizer",
                     file, tokenizer_->vocab_size(), run_.model.vocab_size);
        }
        config_.ids = token_ids();
        if (!tokenizer_) return;
        const path originals = path(tokenizer_file(file)).parent_path();
        if (options_.tokenizer.empty() && is_imported() && are_original_files(originals, tokenizer_->kind())) {
            originals_ = originals;
            exported_.notes = notes_of_copy(*tokenizer_, config_.ids);
        } else {
            exported_ = export_tokenizer(*tokenizer_, config_.ids, config_.max_length);
        }
    }

    // Whether training began with an imported model.
    bool is_imported() const { return file_->header().extra.contains("token_ids"); }

    // bos and eos of the imported model that training began with; else those that the training data use.
    TokenIds token_ids() const {
        const auto imported = file_->header().extra.find("token_ids");
        const std::string tokens = training_tokens();
        if (imported == file_->header().extra.end())
            return tokenizer_ ? trained_token_ids(*tokenizer_, tokens) : TokenIds{};
        TokenIds ids = parse_token_ids(imported->second, options_.source.string());
        if (file_->header().step > 0)
            ids.add_bos = ids.add_bos && !tokens.empty() && documents_begin_with(tokens, ids.bos);
        return ids;
    }

    // Prefix of the run's first token files if they exist, else empty.
    std::string training_tokens() const {
        if (run_.data.train.empty()) return {};
        const std::string& prefix = run_.data.train.front().path;
        return std::filesystem::exists(prefix + ".idx") && std::filesystem::exists(prefix + ".bin") ? prefix : "";
    }

    void finish(NewDirectory& directory) {
        if (shards_.size() > 1) write_text(directory_ / "model.safetensors.index.json", index_text(shards_));
        write_text(directory_ / "generation_config.json", generation_config_text(config_));
        if (!originals_.empty()) {
            copy_original_files(originals_, directory_);
        } else if (tokenizer_) {
            if (!exported_.model_file.empty()) write_text(directory_ / exported_.model_file, tokenizer_->model_bytes());
            if (!exported_.json.empty()) write_text(directory_ / "tokenizer.json", exported_.json);
            if (!exported_.config.empty()) write_text(directory_ / "tokenizer_config.json", exported_.config);
        }
        write_text(directory_ / "config.json", hugging_face_config_text(config_, options_.dtype));
        report();
        directory.publish();
        options_.say(fmt::format("wrote {}", options_.target.string()));
    }

    void report() const {
        std::int64_t bytes = 0, tensors = 0;
        for (const Shard& shard : shards_) bytes += shard.bytes, tensors += std::int64_t(shard.tensors.size());
        options_.say(fmt::format("{} tensors, {} in {} file(s), {}: read back, and the same bits as the source",
                                 tensors, bytes_text(double(bytes)), shards_.size(), safetensors_name(options_.dtype)));
        if (class_of(config_.model) == nullptr)
            options_.say(unknown_class_text());
        else if (const std::string refused = shape_that_transformers_refuses(config_.model); !refused.empty())
            options_.say(refused);
        if (!tokenizer_ && options_.tokenizer != "none")
            options_.say("no tokenizer was found: name it with --tokenizer, or add its files yourself");
        for (const std::string& note : exported_.notes) options_.say(note);
        if (!options_.logits) return;
        std::string tokens = options_.tokens;
        if (tokens.empty()) tokens = training_tokens();
        const HuggingFaceWeights result(directory_, config_.model);
        report_logits(options_, tokens, {run_.model, source_}, {config_.model, result.weights()},
                      !options_.fold_gates && options_.dtype == StoredDtype::fp32);
    }

    std::string unknown_class_text() const {
        const ModelConfig& model = config_.model;
        ModelConfig folded = model;
        folded.architecture = Architecture::pre;
        const bool folds = is_pre_norm_only(model.architecture) && class_of(folded) != nullptr;
        return fmt::format(
            "config.json has the model type gpas_llama: no model class of transformers computes architecture {} with "
            "qkv_bias {}, output_bias {}, mlp_bias {} and qk_norm {}{}",
            name_of(model.architecture), model.qkv_bias, model.output_bias, model.mlp_bias, name_of(model.qk_norm),
            folds ? fmt::format(" (--fold-gates makes it a {})", class_of(folded)->name) : "");
    }

    Communicator& world_;
    const ConvertOptions& options_;
    std::unique_ptr<CheckpointFile> file_;
    RunConfig run_;
    Weights source_, weights_;
    HuggingFaceConfig config_;
    std::unique_ptr<Tokenizer> tokenizer_;
    ExportedTokenizer exported_;
    path originals_;  // directory with the original files of an imported model; empty: write other ones
    std::vector<Shard> shards_;
    path directory_;
};

}  // namespace

void export_hugging_face(Communicator& world, const ConvertOptions& options) { Export(world, options).run(); }

}  // namespace gpas
