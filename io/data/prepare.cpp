#include "io/data/prepare.hpp"

#include "io/data/document_encoder.hpp"
#include "io/data/indexed_writer.hpp"
#include "io/data/ordered_pipeline.hpp"
#include "io/data/output_file.hpp"
#include "io/data/prepare_manifest.hpp"
#include "kernels/error.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

namespace gpas {
namespace {

// How much text is in the inputs: exact for plain files; compressed text is taken to be four times as long.
std::int64_t estimated_text_bytes(const std::vector<std::string>& files) {
    std::int64_t bytes = 0;
    for (const std::string& path : files) {
        const TextFile file(path);
        bytes += file.stored_bytes() * (file.compressed() ? 4 : 1);
    }
    return bytes;
}

// Every n-th unit of the inputs, so that about sample_bytes of text come from all over them.
class TextSample {
public:
    TextSample(const PrepareOptions& options, const std::vector<std::string>& files)
        : options_(options),
          reader_(files, {options.documents, true, options.unit_bytes}),
          stride_(std::max<std::int64_t>(1, estimated_text_bytes(files) / options.tokenizer_sample_bytes)) {}

    bool next(std::string& text) {
        while (used_bytes_ < options_.tokenizer_sample_bytes) {
            while (record_ == unit_.records.size()) {
                if (!reader_.next(unit_)) return false;
                record_ = units_++ % stride_ == 0 ? 0 : unit_.records.size();
            }
            const TextRecord& record = unit_.records[record_++];
            std::int64_t replaced = 0;
            std::string problem;
            const auto bytes = std::string_view(unit_.text).substr(record.begin, record.end - record.begin);
            if (!record_text(bytes, options_.documents, options_.json_key, text, replaced, problem)) continue;
            used_bytes_ += std::int64_t(text.size());
            return true;
        }
        return false;
    }

private:
    const PrepareOptions& options_;
    TextReader reader_;
    std::int64_t stride_;
    TextUnit unit_;
    std::size_t record_ = 0;
    std::int64_t units_ = 0, used_bytes_ = 0;
};

class Preparation {
public:
    explicit Preparation(const PrepareOptions& options)
        : options_(options),
          files_(list_text_files(options.inputs)),
          prefix_(options.output_prefix + "_" + options.json_key + "_document"),
          manifest_path_(prefix_ + ".prepare.json"),
          identity_(prepare_identity(options, files_)) {
        for (const std::string& file : files_) stored_bytes_ += std::int64_t(std::filesystem::file_size(file));
        report_.prefix = prefix_;
        report_.tokenizer = options.tokenizer.empty() ? options.output_prefix + ".model" : options.tokenizer;
    }

    PrepareReport run() {
        const auto start = std::chrono::steady_clock::now();
        find_earlier_work();
        load_tokenizer();
        if (!finished_before()) {
            open_writer();
            encode_all();
            finish();
        }
        report_.documents = state_.documents;
        report_.empty_documents = state_.empty_documents;
        report_.text_bytes = state_.text_bytes;
        report_.skipped_lines = state_.skipped_lines;
        report_.replaced_characters = state_.replaced_characters;
        report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return std::move(report_);
    }

private:
    void notice(const std::string& line) const {
        if (options_.notice) options_.notice(line);
    }

    void find_earlier_work() {
        std::string problem;
        earlier_ = load_manifest(manifest_path_, problem);
        if (earlier_ && earlier_->identity != identity_) {
            problem = "the inputs or the options have changed";
            earlier_.reset();
        }
        if (!problem.empty()) notice(problem + ": starting afresh");
    }

    void load_tokenizer() {
        const bool trained_before = earlier_ && options_.tokenizer.empty();
        if (trained_before) {
            try {
                tokenizer_ = std::make_unique<Tokenizer>(report_.tokenizer);
            } catch (const Error&) {
            }
        } else if (!options_.tokenizer.empty()) {
            tokenizer_ = std::make_unique<Tokenizer>(report_.tokenizer);
        }
        if (earlier_ && (!tokenizer_ || tokenizer_->fingerprint() != earlier_->tokenizer)) {
            notice(report_.tokenizer + ": is not the tokenizer of the earlier run: starting afresh");
            earlier_.reset();
            if (trained_before) tokenizer_.reset();
        }
        if (!tokenizer_) train();
        if (options_.append_eos && tokenizer_->eos_id() < 0) {
            fail(ExitCode::usage,
                 "{}: has no end-of-text piece to append: prepare without EOS, or use another tokenizer",
                 report_.tokenizer);
        }
        report_.vocab_size = tokenizer_->vocab_size();
        report_.dtype = token_dtype_for(report_.vocab_size);
    }

    void train() {
        if (!options_.train_tokenizer) fail(ExitCode::usage, "no tokenizer: name a .model file or have one trained");
        notice("training a tokenizer of " + std::to_string(options_.train_tokenizer->vocab_size) + " pieces");
        TextSample sample(options_, files_);
        std::string model =
            gpas::train_tokenizer(*options_.train_tokenizer, [&](std::string& text) { return sample.next(text); });
        tokenizer_ = std::make_unique<Tokenizer>(std::move(model), report_.tokenizer);
        write_file_durably(report_.tokenizer, tokenizer_->model_bytes());
    }

    bool finished_before() {
        if (!earlier_ || !earlier_->done) return false;
        try {
            const IndexedDataset dataset(prefix_);
            if (dataset.fingerprint() == earlier_->dataset) {
                state_ = *earlier_;
                report_.tokens = dataset.tokens();
                report_.already_done = true;
                return true;
            }
        } catch (const Error&) {
        }
        notice(prefix_ + ": is not what the earlier run wrote: starting afresh");
        earlier_.reset();
        return false;
    }

    void open_writer() {
        if (earlier_) {
            try {
                writer_ = std::make_unique<IndexedDatasetWriter>(prefix_, report_.dtype, earlier_->mark);
                state_ = *earlier_;
                marked_text_bytes_ = state_.text_bytes;
                report_.resumed_documents = state_.documents;
                notice(fmt::format("resuming after {} documents", state_.documents));
                return;
            } catch (const Error& error) {
                notice(std::string(error.what()) + ": starting afresh");
            }
        }
        std::filesystem::remove(manifest_path_);
        writer_ = std::make_unique<IndexedDatasetWriter>(prefix_, report_.dtype);
        state_ = {};
        state_.identity = identity_;
        state_.tokenizer = tokenizer_->fingerprint();
        mark();
    }

    void encode_all() {
        const DocumentEncoder encoder(*tokenizer_, options_.documents, options_.json_key, options_.skip_bad_lines);
        TextReader reader(files_, {options_.documents, tokenizer_->cuts_at_newlines(), options_.unit_bytes},
                          state_.next);
        const std::int64_t threads = std::max<std::int64_t>(1, options_.threads);
        OrderedPipeline<EncodedUnit> pipeline(threads);
        bool more = true;
        while (more || pipeline.pending() > 0) {
            while (more && pipeline.pending() < 2 * threads + 1) {
                auto unit = std::make_shared<TextUnit>();
                more = reader.next(*unit);
                if (!more) break;
                pipeline.submit(
                    [&encoder, this, unit] { return encoder.encode(*unit, files_[std::size_t(unit->file)]); });
            }
            if (pipeline.pending() > 0) write(pipeline.take());
        }
    }

    void write(const EncodedUnit& unit) {
        std::span<const std::int32_t> ids(unit.ids);
        for (const auto& part : unit.parts) {
            writer_->append(ids.first(std::size_t(part.tokens)));
            ids = ids.subspan(std::size_t(part.tokens));
            if (part.ends_document) end_document();
        }
        state_.text_bytes += unit.text_bytes;
        state_.skipped_lines += unit.skipped_lines;
        state_.replaced_characters += unit.replaced_characters;
        state_.next = unit.next;
        for (const auto& line : unit.first_skipped) {
            if (report_.first_skipped.size() < 5) report_.first_skipped.push_back(line);
        }
        if (state_.text_bytes - marked_text_bytes_ >= options_.mark_bytes) mark();
        if (options_.progress) {
            options_.progress({unit.stored_bytes_done, stored_bytes_, state_.documents, writer_->tokens()});
        }
    }

    void end_document() {
        if (writer_->open_tokens() == 0) {
            ++state_.empty_documents;
            return;
        }
        const std::int32_t eos = tokenizer_->eos_id();
        if (options_.append_eos) writer_->append({&eos, 1});
        writer_->end_document();
        ++state_.documents;
    }

    void mark() {
        state_.mark = writer_->mark();
        marked_text_bytes_ = state_.text_bytes;
        save_manifest(manifest_path_, state_);
    }

    void finish() {
        if (state_.documents == 0) fail(ExitCode::bad_file, "{}: no text found in {} files", prefix_, files_.size());
        report_.tokens = writer_->tokens();
        writer_->finish();
        state_.done = true;
        state_.dataset = IndexedDataset(prefix_).fingerprint();
        save_manifest(manifest_path_, state_);
    }

    const PrepareOptions& options_;
    std::vector<std::string> files_;
    std::string prefix_, manifest_path_, identity_;
    std::int64_t stored_bytes_ = 0, marked_text_bytes_ = 0;
    std::optional<PrepareManifest> earlier_;
    PrepareManifest state_;
    std::unique_ptr<Tokenizer> tokenizer_;
    std::unique_ptr<IndexedDatasetWriter> writer_;
    PrepareReport report_;
};

}  // namespace

PrepareReport prepare(const PrepareOptions& options) {
    if (options.output_prefix.empty()) fail(ExitCode::usage, "prepare: no output prefix");
    if (!options.tokenizer.empty() && options.train_tokenizer) {
        fail(ExitCode::usage, "prepare: either a tokenizer is given or one is trained, not both");
    }
    require(options.unit_bytes > 0 && options.mark_bytes > 0 && options.tokenizer_sample_bytes > 0,
            "prepare: sizes are not positive");
    const auto folder = std::filesystem::path(options.output_prefix).parent_path();
    if (!folder.empty()) {
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        if (error) fail(ExitCode::environment, "{}: {}", folder.string(), error.message());
    }
    return Preparation(options).run();
}

}  // namespace gpas
