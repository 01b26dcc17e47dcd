#include "io/data/prepare.hpp"

#include "base/error.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/options.hpp"
#include "engine/run/threads.hpp"
#include "io/metrics/progress_bar.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

namespace gpas {
namespace {

struct PrepareArguments {
    PrepareOptions prepare;
    std::int64_t train_pieces = 0;
    std::optional<TokenizerType> type;
    std::optional<std::string> json_key;
};

// A larger share of unknown tokens or lost characters gets a warning: 1 %.
constexpr double notable_share = 0.01;

void report_loss(const PrepareReport& report) {
    const TextLoss& loss = report.loss;
    const auto line = [](std::int64_t count, std::int64_t all, const char* what) {
        if (count == 0) return false;
        const double share = double(count) / double(std::max<std::int64_t>(all, 1));
        fmt::print("{} of {} {} ({:.3g} %)\n", count, all, what, 100 * share);
        return share > notable_share;
    };
    const bool unknown = line(loss.unknown_tokens, report.tokens, "tokens are <unk>");
    const bool lost =
        line(loss.lost_characters, loss.characters, "characters are lost: decoding does not give them back");
    const bool replaced =
        line(report.replaced_characters, loss.characters, "characters were ill-formed UTF-8 and became U+FFFD");
    if (unknown || lost) {
        fmt::print(
            stderr,
            "gpas: warning: {}: the tokenizer does not fit the text; one with byte fallback, as --train-tokenizer "
            "makes, loses nothing\n",
            report.tokenizer);
    }
    if (replaced) {
        fmt::print(stderr,
                   "gpas: warning: {}: if the text has another encoding than UTF-8, convert it with iconv first\n",
                   report.prefix);
    }
}

void report_skipped(const PrepareReport& report) {
    std::int64_t skipped = 0;
    std::string kinds;
    for (std::size_t i = 0; i < line_problems; ++i) {
        if (report.skipped_lines[i] == 0) continue;
        skipped += report.skipped_lines[i];
        kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", report.skipped_lines[i],
                             line_problem_name(LineProblem(i)));
    }
    if (skipped > 0) fmt::print("bad lines skipped: {} ({})\n", skipped, kinds);
    for (const std::string& line : report.first_skipped) fmt::print("  {}\n", line);
}

void report(const PrepareReport& report) {
    fmt::print("{}.bin, .idx: {} documents, {} tokens{}\n", report.prefix, report.documents, report.tokens,
               report.already_done ? " (prepared before; nothing to do)" : "");
    fmt::print("tokenizer {}: {}, {} pieces\n", report.tokenizer, tokenizer_kind_name(report.tokenizer_kind),
               report.vocab_size);
    if (!report.already_done && report.tokens > 0)
        fmt::print("{} bytes of text, {:.2f} bytes per token, {:.1f} s\n", report.text_bytes,
                   double(report.text_bytes) / double(report.tokens), report.seconds);
    if (report.empty_documents > 0) fmt::print("{} empty documents left out\n", report.empty_documents);
    report_loss(report);
    report_skipped(report);
}

void run(const PrepareArguments& options) {
    PrepareOptions prepare_options = options.prepare;
    if (prepare_options.tokenizer.empty() == (options.train_pieces == 0))
        fail(ExitCode::usage, "prepare needs one of --tokenizer FILE and --train-tokenizer PIECES");
    if (options.type && options.train_pieces == 0)
        fail(ExitCode::usage, "--tokenizer-type is for --train-tokenizer: --tokenizer names a file that has its type");
    if (options.train_pieces > 0)
        prepare_options.train_tokenizer =
            TokenizerTraining{.type = options.type.value_or(TokenizerType::bpe), .vocab_size = options.train_pieces};
    prepare_options.json_key_given = options.json_key.has_value();
    if (options.json_key) prepare_options.json_key = *options.json_key;
    if (prepare_options.threads == 0) prepare_options.threads = choose_threads(0, {own_cpus()}, 0).threads;

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
    auto options = std::make_shared<PrepareArguments>();
    PrepareOptions& prepare = options->prepare;
    prepare.threads = 0;
    CLI::App* command = app.add_subcommand("prepare", "Turn text into token files that training reads");
    command
        ->add_option(
            "--input", prepare.inputs,
            "text or JSON lines, plain or compressed (gzip, zstd, bzip2, xz), or Parquet: files, folders (every file below, "
            "sorted), quoted patterns such as 'shards/*.jsonl.zst', pipes, - for standard input")
        ->required();
    command
        ->add_option("--output-prefix", prepare.output_prefix,
                     "writes PREFIX_KEY_document.bin and .idx (Megatron's format)")
        ->required();
    add_choice<DocumentMode>(*command, "--documents", prepare.documents,
                             {{"file", DocumentMode::file},
                              {"line", DocumentMode::line},
                              {"blank-line", DocumentMode::blank_line},
                              {"jsonl", DocumentMode::jsonl},
                              {"parquet", DocumentMode::parquet}},
                             "what a document is: file, line, blank-line (paragraphs), jsonl (strings of each line's "
                             "object), parquet (texts of each row); default: jsonl for JSON lines, parquet for Parquet "
                             "files, file for plain text");
    command->add_option(
        "--text-key,--json-key", options->json_key,
        "jsonl, parquet: the key or column of the text (default: text); a.b is b of the object a; the texts of several "
        "keys, as in title,text, are joined with a newline");
    command->add_option(
        "--tokenizer", prepare.tokenizer,
        "a SentencePiece .model file, tokenizer.json, tekken.json or tiktoken file, or a directory with one "
        "of them");
    command->add_option(
        "--pattern", prepare.pattern,
        "of a tiktoken file: a regular expression that splits text into words, or the name of one (gpt2, "
        "cl100k_base, o200k_base, llama3, llama4, qwen, qwen3.6); saves the tokenizer as PREFIX.tokenizer.json");
    add_integer(*command, "--train-tokenizer", options->train_pieces, {1, 1 << 24},
                "train a tokenizer with this many pieces and save it as PREFIX.model")
        ->default_str("");
    add_choice<TokenizerType>(*command, "--tokenizer-type", options->type,
                              {{"bpe", TokenizerType::bpe}, {"unigram", TokenizerType::unigram}}, "bpe or unigram")
        ->default_str("bpe");
    command->add_flag("!--no-eos", prepare.append_eos, "do not end documents with the end-of-sentence token");
    command->add_flag("--skip-bad-lines", prepare.skip_bad_lines, "jsonl, parquet: skip and count lines without text");
    add_integer(*command, "--threads", prepare.threads, {0, 65536}, "0: all processors");
    command->callback([&chosen, options] { chosen.alone = [options] { run(*options); }; });
}

}  // namespace gpas
