#include "base/error.hpp"
#include "engine/convert/convert.hpp"
#include "engine/convert/hugging_face_weights.hpp"
#include "engine/convert/original_files.hpp"
#include "engine/convert/shared.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/config/describe.hpp"
#include "io/config/load.hpp"
#include "io/data/tokenizer.hpp"
#include "io/hugging_face/config.hpp"
#include "parallel/agree.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

namespace gpas {
namespace {

using std::filesystem::path;

class Import {
public:
    Import(Communicator& world, const ConvertOptions& options) : world_(world), options_(options) {}

    void run() {
        agree(world_, [&] { open(); });
        NewDirectory directory(world_, options_.target);
        const path file = save(directory.path());
        agree(world_, [&] { verify(file); });
        agree(world_, [&] {
            if (world_.rank() == 0) finish(file, directory);
        });
    }

private:
    void open() {
        check_new(options_.target);
        const HuggingFaceConfig config =
            read_hugging_face_config(options_.source / "config.json", options_.architecture, options_.post_layers);
        notes_ = config.notes;
        ids_ = read_token_ids(options_.source, config.model.vocab_size);
        weights_ = std::make_unique<HuggingFaceWeights>(options_.source, config.model);
        std::string name = options_.target.filename().string();
        if (name.empty()) name = options_.target.parent_path().filename().string();
        std::vector<std::string> overrides = model_overrides(config.model);
        overrides.push_back(fmt::format("directory=\"{}\"", options_.target.string()));
        overrides.push_back(
            fmt::format("data.sequence_length={}", std::clamp<std::int64_t>(config.max_length, 1, 4096)));
        tokenizer_ = tokenizer_file();
        if (!tokenizer_.empty()) {
            kind_ = check_tokenizer_fits(tokenizer_, options_.tokenizer.empty() ? options_.source : path(),
                                         config.model.vocab_size);
            overrides.push_back(fmt::format("data.tokenizer=\"{}\"", tokenizer_copy().string()));
        }
        run_ = load_config_text("name: imported\n", options_.source.string(), overrides).values;
        specs_ = parameter_specs(run_.model, run_.optimizer);
        for (std::size_t i = 0; i < specs_.size(); ++i)  // refuses NaN and Inf before anything is written
            if (mine(i)) weights_->read(specs_[i].name);
    }

    // The tokenizer's file; empty: no tokenizer.
    path tokenizer_file() const {
        if (options_.tokenizer == "none") return {};
        if (!options_.tokenizer.empty()) {
            if (!std::filesystem::exists(options_.tokenizer))
                fail(ExitCode::bad_file, "{}: no such file", options_.tokenizer);
            return gpas::tokenizer_file(options_.tokenizer);
        }
        for (const char* name : {"tokenizer.model", "sentencepiece.model", "tokenizer.json", "tekken.json"})
            if (std::filesystem::exists(options_.source / name)) return options_.source / name;
        return {};
    }

    // Whether the tokenizer is one of the source.
    bool has_own_tokenizer() const {
        std::error_code ignored;
        return !tokenizer_.empty() &&
               (options_.tokenizer.empty() ||
                std::filesystem::equivalent(path(tokenizer_).remove_filename() / ".", options_.source, ignored));
    }
    path tokenizer_copy() const { return options_.target / tokenizer_file_name(kind_); }

    // Saves the weights. Each parameter is written by one rank, which holds one parameter at a time in memory.
    path save(const path& directory) {
        std::vector<StateTensor> tensors;
        for (std::size_t i = 0; i < specs_.size(); ++i) {
            StateTensor tensor{.name = "weights/" + specs_[i].name, .global_shape = specs_[i].shape};
            if (mine(i)) {
                tensor.start.assign(specs_[i].shape.size(), 0);
                tensor.count = specs_[i].shape;
                tensor.produce = [this, name = specs_[i].name](float* to) {
                    std::ranges::copy(weights_->read(name), to);
                };
            }
            tensors.push_back(std::move(tensor));
        }
        const CheckpointHeader header{
            .software = "gpas " GPAS_VERSION,
            .run_name = run_.name,
            .seed = std::int64_t(run_.seed),
            .config = dump_config(run_),
            .layout = "gpas convert",
            .extra = {{"source", options_.source.string()}, {"token_ids", token_ids_text(ids_)}}};
        return save_checkpoint(world_, directory / "checkpoints", header, tensors);
    }

    bool mine(std::size_t i) const { return int(i % std::size_t(world_.size())) == world_.rank(); }

    void verify(const path& file) const {
        const CheckpointFile saved(file);
        for (std::size_t i = 0; i < specs_.size(); ++i) {
            if (!mine(i)) continue;
            const std::vector<float> found = saved.read("weights/" + specs_[i].name);
            const std::vector<float> expected = weights_->read(specs_[i].name);
            if (found.size() != expected.size() ||
                std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) != 0)
                fail(ExitCode::environment, "{}: {} is not what was written: is the disk sound?", file.string(),
                     specs_[i].name);
        }
    }

    void finish(const path& file, NewDirectory& directory) const {
        if (has_own_tokenizer()) copy_original_files(options_.source, directory.path());
        if (!run_.data.tokenizer.empty()) copy_whole(tokenizer_, directory.path() / tokenizer_file_name(kind_));
        write_text(directory.path() / "config.yaml", dump_config(run_));
        for (const std::string& note : notes_) options_.say(note);
        options_.say(fmt::format("{} parameters in {} tensors: read back, and the same bits as the source",
                                 parameter_count(run_.model), specs_.size()));
        if (run_.data.tokenizer.empty())
            options_.say(
                "no tokenizer was found (tokenizer.model, sentencepiece.model, tokenizer.json or tekken.json); name one "
                "with --tokenizer");
        else
            options_.say(fmt::format("the tokenizer is of the kind {}: train with data.tokenizer={}",
                                     tokenizer_kind_name(kind_), tokenizer_copy().string()));
        if (options_.logits) {
            const CheckpointFile saved(file);
            report_logits(
                options_, options_.tokens, {run_.model, weights_->weights()},
                {run_.model, [&](const std::string& parameter) { return saved.read("weights/" + parameter); }}, true);
        }
        directory.publish();
        options_.say(fmt::format("wrote {}; continue with: gpas train RUN.yaml checkpoint.init_from={}",
                                 (options_.target / "config.yaml").string(),
                                 (options_.target / "checkpoints" / file.filename()).string()));
    }

    Communicator& world_;
    const ConvertOptions& options_;
    std::unique_ptr<HuggingFaceWeights> weights_;
    RunConfig run_;
    std::vector<ParameterSpec> specs_;
    std::vector<std::string> notes_;
    TokenIds ids_;
    path tokenizer_;
    TokenizerKind kind_ = TokenizerKind::sentencepiece;
};

}  // namespace

void import_hugging_face(Communicator& world, const ConvertOptions& options) { Import(world, options).run(); }

}  // namespace gpas
