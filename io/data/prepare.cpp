#include "io/data/prepare.hpp"

#include "base/error.hpp"
#include "io/data/document_encoder.hpp"
#include "io/data/indexed_writer.hpp"
#include "io/data/ordered_pipeline.hpp"
#include "io/data/output_file.hpp"
#include "io/data/prepare_manifest.hpp"
#include "io/data/text_key.hpp"
#include "io/data/text_sample.hpp"
#include "io/data/text_spool.hpp"
#include "io/tokenizer/tiktoken_json.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

namespace gpas {
namespace {

class Preparation {
public:
    explicit Preparation(const PrepareOptions& options)
        : options_(options),
          inputs_(open_inputs(options.inputs, options.documents, options.json_key)),
          prefix_(options.output_prefix + "_" + text_keys_in_file_name(options.json_key) + "_document"),
          manifest_path_(prefix_ + ".prepare.json"),
          identity_(prepare_identity(options, inputs_)),
          spool_(prefix_) {
        refuse_unused_options();
        for (const TextInput& input : inputs_.files) {
            stored_bytes_ += input.stored_bytes;
            has_streams_ = has_streams_ || input.stream != nullptr;
        }
        if (has_streams_) stored_bytes_ = 0;  // unknown
        report_.prefix = prefix_;
        report_.tokenizer = !options.pattern.empty()    ? options.output_prefix + ".tokenizer.json"
                            : options.tokenizer.empty() ? options.output_prefix + ".model"
                                                        : tokenizer_file(options.tokenizer);
    }

    PrepareReport run() {
        const auto start = std::chrono::steady_clock::now();
        for (const std::string& line : inputs_.notices) notice(line);
        make_folder();
        find_earlier_work();
        load_tokenizer();
        if (!finished_before()) {
            open_writer();
            try {
                encode_all();
                finish();
            } catch (const Error& error) {
                if (error.code() == ExitCode::bad_file || has_streams_) discard();
                throw;
            }
        }
        report_.documents = state_.documents;
        report_.empty_documents = state_.empty_documents;
        report_.text_bytes = state_.text_bytes;
        report_.loss = state_.loss;
        report_.skipped_lines = state_.skipped_lines;
        report_.replaced_characters = state_.replaced_characters;
        report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return std::move(report_);
    }

private:
    void notice(const std::string& line) const {
        if (options_.notice) options_.notice(line);
    }

    void make_folder() const {
        const auto folder = std::filesystem::path(options_.output_prefix).parent_path();
        if (folder.empty()) return;
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        if (error) fail(ExitCode::environment, "{}: cannot be created: {}", folder.string(), error.message());
    }

    void find_earlier_work() {
        std::string problem;
        earlier_ = load_manifest(manifest_path_, problem);
        if (!std::filesystem::exists(manifest_path_)) refuse_foreign_outputs();
        if (earlier_ && earlier_->identity != identity_) {
            problem = has_streams_ ? "a stream cannot be compared with the stream of an earlier run"
                                   : "the inputs or the options have changed";
            earlier_.reset();
        }
        if (!problem.empty()) notice(problem + ": starting from the beginning");
    }

    // Fails if output files exist that an earlier run of this command did not write: they are never replaced.
    void refuse_foreign_outputs() const {
        for (const char* extension : {".idx", ".bin"}) {
            if (std::filesystem::exists(prefix_ + extension)) {
                fail(ExitCode::usage,
                     "{}{}: exists, but {} does not, so another program may have written the file: choose another "
                     "--output-prefix, or remove the file",
                     prefix_, extension, manifest_path_);
            }
        }
        if ((options_.train_tokenizer || !options_.pattern.empty()) && std::filesystem::exists(report_.tokenizer)) {
            fail(ExitCode::usage,
                 "{}: exists, and this command would replace it: use it with --tokenizer {}, choose another "
                 "--output-prefix, or remove the file",
                 report_.tokenizer, report_.tokenizer);
        }
    }

    void refuse_unused_options() const {
        if (inputs_.documents == DocumentMode::jsonl || inputs_.documents == DocumentMode::parquet) return;
        const char* only =
            "is for JSON lines and Parquet, and the inputs are taken as plain text: leave it out, or add --documents jsonl";
        if (options_.skip_bad_lines) fail(ExitCode::usage, "--skip-bad-lines {}", only);
        if (options_.json_key_given) fail(ExitCode::usage, "--text-key (--json-key) {}", only);
    }

    void load_tokenizer() {
        const bool trained_before = earlier_ && options_.tokenizer.empty();
        if (trained_before) {
            try {
                tokenizer_ = open_tokenizer(report_.tokenizer);
            } catch (const Error&) {
            }
        } else if (!options_.pattern.empty()) {
            make_json();
        } else if (!options_.tokenizer.empty()) {
            tokenizer_ = open_tokenizer(report_.tokenizer);
        }
        const auto is_earlier = [&] {
            const bool other_eos = options_.append_eos && earlier_->eos >= 0 && earlier_->eos != tokenizer_->eos_id();
            return tokenizer_->fingerprint() == earlier_->tokenizer && !other_eos;
        };
        if (earlier_ && (!tokenizer_ || !is_earlier())) {
            notice(report_.tokenizer + ": is not the tokenizer of the earlier run: starting from the beginning");
            earlier_.reset();
            if (trained_before) tokenizer_.reset();
        }
        if (earlier_ && made_ && !std::filesystem::exists(report_.tokenizer))
            write_file_durably(report_.tokenizer, tokenizer_->model_bytes());
        if (!tokenizer_) train();
        if (options_.append_eos && tokenizer_->eos_id() < 0) {
            fail(ExitCode::usage,
                 "{}: has no end-of-text piece to append: prepare without EOS, or use another tokenizer",
                 report_.tokenizer);
        }
        report_.tokenizer_kind = tokenizer_->kind();
        report_.vocab_size = tokenizer_->vocab_size();
        report_.dtype = token_dtype_for(report_.vocab_size);
    }

    // Adds the pattern to the tiktoken file.
    void make_json() {
        const std::string file = tokenizer_file(options_.tokenizer);
        std::string json = tiktoken_as_json(read_tokenizer(file), file, options_.pattern);
        tokenizer_ = open_tokenizer(std::move(json), report_.tokenizer);
        made_ = true;
    }

    void train() {
        if (!options_.train_tokenizer)
            fail(ExitCode::usage, "no tokenizer: name a tokenizer's file or train a tokenizer");
        notice("training a tokenizer of " + std::to_string(options_.train_tokenizer->vocab_size) + " pieces");
        for (TextInput& input : inputs_.files) {
            if (input.stream) spool_.take(input);
        }
        TextSample sample(inputs_, {.json_key = options_.json_key,
                                    .skip_bad_lines = options_.skip_bad_lines,
                                    .sample_bytes = options_.tokenizer_sample_bytes,
                                    .unit_bytes = options_.unit_bytes});
        std::string model =
            gpas::train_tokenizer(*options_.train_tokenizer, [&](std::string& text) { return sample.next(text); });
        tokenizer_ = open_tokenizer(std::move(model), report_.tokenizer);
        made_ = true;
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
        notice(prefix_ + ": is not what the earlier run wrote: starting from the beginning");
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
                notice(std::string(error.what()) + ": starting from the beginning");
            }
        }
        std::filesystem::remove(manifest_path_);
        writer_ = std::make_unique<IndexedDatasetWriter>(prefix_, report_.dtype);
        state_ = {};
        state_.identity = identity_;
        state_.tokenizer = tokenizer_->fingerprint();
        state_.eos = options_.append_eos ? tokenizer_->eos_id() : -1;
        state_.tokenizer_kind = tokenizer_kind_name(tokenizer_->kind());
        mark();
        if (!made_) return;
        new_model_ = !std::filesystem::exists(report_.tokenizer);
        write_file_durably(report_.tokenizer, tokenizer_->model_bytes());
    }

    void encode_all() {
        const DocumentEncoder encoder(*tokenizer_, inputs_.documents, options_.json_key, options_.skip_bad_lines);
        TextReader reader(inputs_.files,
                          {.documents = inputs_.documents,
                           .may_cut = tokenizer_->cuts_at_newlines(),
                           .unit_bytes = options_.unit_bytes,
                           .skip_long_lines = options_.skip_bad_lines,
                           .columns = options_.json_key},
                          state_.next);
        const std::int64_t threads = std::max<std::int64_t>(1, options_.threads);
        // Row groups may be large: fewer of them in memory.
        const std::int64_t most = inputs_.documents == DocumentMode::parquet ? threads + 1 : 2 * threads + 1;
        OrderedPipeline<EncodedUnit> pipeline(threads);
        bool more = true;
        while (more || pipeline.pending() > 0) {
            while (more && pipeline.pending() < most) {
                auto unit = std::make_shared<TextUnit>();
                more = reader.next(*unit);
                if (!more) break;
                pipeline.submit([&encoder, this, unit] {
                    load_row_group(*unit);
                    return encoder.encode(*unit, inputs_.files[std::size_t(unit->file)].name());
                });
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
        state_.loss.add(unit.loss);
        for (std::size_t i = 0; i < line_problems; ++i) state_.skipped_lines[i] += unit.skipped_lines[i];
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
        if (state_.documents == 0) fail_without_text();
        report_.tokens = writer_->tokens();
        writer_->finish();
        state_.done = true;
        state_.dataset = IndexedDataset(prefix_).fingerprint();
        save_manifest(manifest_path_, state_);
    }

    [[noreturn]] void fail_without_text() const {
        std::int64_t skipped = 0;
        for (const std::int64_t lines : state_.skipped_lines) skipped += lines;
        fail(ExitCode::bad_file, "{}{}: no text found{}", inputs_.files.front().name(),
             inputs_.files.size() > 1 ? fmt::format(" and {} more files", inputs_.files.size() - 1) : "",
             skipped > 0 ? fmt::format("; {} bad lines were skipped, the first is {}", skipped,
                                       report_.first_skipped.empty() ? "" : report_.first_skipped.front())
                         : "");
    }

    // Deletes the partial output after an error in the inputs. The user has to change the inputs, so a resume is
    // impossible.
    void discard() {
        writer_.reset();
        for (const char* extension : {".idx.partial", ".bin.partial"}) std::filesystem::remove(prefix_ + extension);
        if (new_model_) std::filesystem::remove(report_.tokenizer);
        std::filesystem::remove(manifest_path_);
        const bool has_outputs = std::filesystem::exists(prefix_ + ".idx") || (made_ && !new_model_);
        if (has_outputs) save_manifest(manifest_path_, {});  // which an earlier run of this command has written
    }

    const PrepareOptions& options_;
    TextInputs inputs_;
    std::string prefix_, manifest_path_, identity_;
    TextSpool spool_;
    bool has_streams_ = false, made_ = false, new_model_ = false;
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
        fail(ExitCode::usage,
             "prepare: found a tokenizer and the options to train a tokenizer, expected one of the two");
    }
    if (!options.pattern.empty() && options.tokenizer.empty())
        fail(ExitCode::usage, "--pattern is the pattern of a tiktoken file: name the file with --tokenizer");
    check_text_keys(options.json_key);
    if (options.train_tokenizer) check_tokenizer_training(*options.train_tokenizer);
    require(options.unit_bytes > 0 && options.mark_bytes > 0 && options.tokenizer_sample_bytes > 0,
            "prepare: sizes are not positive");
    return Preparation(options).run();
}

}  // namespace gpas
