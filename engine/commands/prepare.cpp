#include "io/data/prepare.hpp"

#include "engine/commands/command.hpp"
#include "io/metrics/progress_bar.hpp"
#include "kernels/error.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>
#include <memory>
#include <thread>

namespace gpas {
namespace {

struct Options {
    PrepareOptions prepare;
    std::int64_t train_pieces = 0;
    TokenizerType type = TokenizerType::bpe;
};

void report(const PrepareReport& report) {
    fmt::print("{}.bin, .idx: {} documents, {} tokens{}\n", report.prefix, report.documents, report.tokens,
               report.already_done ? " (prepared before; nothing to do)" : "");
    fmt::print("tokenizer {}: {} pieces\n", report.tokenizer, report.vocab_size);
    if (!report.already_done && report.tokens > 0)
        fmt::print("{} bytes of text, {:.2f} bytes a token, {:.1f} s\n", report.text_bytes,
                   double(report.text_bytes) / double(report.tokens), report.seconds);
    if (report.empty_documents > 0) fmt::print("{} empty documents left out\n", report.empty_documents);
    if (report.replaced_characters > 0)
        fmt::print("{} ill-formed UTF-8 sequences became U+FFFD\n", report.replaced_characters);
    if (report.skipped_lines > 0) fmt::print("{} bad lines skipped, among them:\n", report.skipped_lines);
    for (const std::string& line : report.first_skipped) fmt::print("  {}\n", line);
}

void run(const Options& options) {
    PrepareOptions prepare_options = options.prepare;
    if (prepare_options.tokenizer.empty() == (options.train_pieces == 0))
        fail(ExitCode::usage, "prepare needs one of --tokenizer MODEL and --train-tokenizer PIECES");
    if (options.train_pieces > 0)
        prepare_options.train_tokenizer = TokenizerTraining{.type = options.type, .vocab_size = options.train_pieces};
    if (prepare_options.threads == 0) prepare_options.threads = std::max(1U, std::thread::hardware_concurrency());

    std::unique_ptr<ProgressBar> bar;
    prepare_options.progress = [&](const PrepareProgress& progress) {
        if (!bar) bar = std::make_unique<ProgressBar>("tokenizing", progress.stored_bytes, "bytes");
        bar->advance_to(progress.stored_bytes_done);
    };
    prepare_options.notice = [](const std::string& line) { fmt::print(stderr, "gpas: {}\n", line); };
    const PrepareReport result = prepare(prepare_options);
    bar.reset();
    report(result);
}

}  // namespace

void add_prepare(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    PrepareOptions& prepare = options->prepare;
    prepare.threads = 0;
    CLI::App* command = app.add_subcommand("prepare", "Turn text into token files that training reads");
    command
        ->add_option("--input", prepare.inputs,
                     "text or JSONL files, plain, .gz or .zst, and folders of them (every file below, sorted)")
        ->required();
    command
        ->add_option("--output-prefix", prepare.output_prefix,
                     "writes PREFIX_KEY_document.bin and .idx (Megatron's format)")
        ->required();
    const std::map<std::string, DocumentMode> modes{{"file", DocumentMode::file},
                                                    {"line", DocumentMode::line},
                                                    {"blank-line", DocumentMode::blank_line},
                                                    {"jsonl", DocumentMode::jsonl}};
    command
        ->add_option("--documents", prepare.documents, "what a document is: file, line, blank-line (paragraphs), jsonl")
        ->transform(CLI::CheckedTransformer(modes));
    command->add_option("--json-key", prepare.json_key, "jsonl: the string that is the text")->capture_default_str();
    command->add_option("--tokenizer", prepare.tokenizer, "a SentencePiece .model file");
    command
        ->add_option("--train-tokenizer", options->train_pieces, "train one of this many pieces, saved as PREFIX.model")
        ->check(CLI::PositiveNumber);
    const std::map<std::string, TokenizerType> types{{"bpe", TokenizerType::bpe}, {"unigram", TokenizerType::unigram}};
    command->add_option("--tokenizer-type", options->type, "bpe or unigram")->transform(CLI::CheckedTransformer(types));
    command->add_flag("!--no-eos", prepare.append_eos, "do not end documents with the end-of-sentence token");
    command->add_flag("--skip-bad-lines", prepare.skip_bad_lines, "jsonl: count lines that cannot be read, and go on");
    command->add_option("--threads", prepare.threads, "0: all processors")->check(CLI::NonNegativeNumber);
    command->callback([&chosen, options] { chosen.alone = [options] { run(*options); }; });
}

}  // namespace gpas
