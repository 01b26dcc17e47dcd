// Tokenises raw text into token files: the work of `gpas prepare`. The result depends only on the inputs and the
// options, not on the number of threads or on interruptions.
#pragma once

#include "io/data/document_encoder.hpp"
#include "io/data/indexed_dataset.hpp"
#include "io/data/text_input.hpp"
#include "io/data/tokenizer.hpp"
#include "io/data/tokenizer_training.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct PrepareProgress {
    std::int64_t stored_bytes_done = 0, stored_bytes = 0;  // of the input files on disk (compressed); total 0: unknown
    std::int64_t documents = 0, tokens = 0;
};

struct PrepareOptions {
    std::vector<std::string> inputs;        // text or JSONL files (plain or compressed), folders, patterns, "-", pipes
    std::string output_prefix;              // writes <output_prefix>_<json_key>_document.bin and .idx ("," becomes "+")
    std::optional<DocumentMode> documents;  // nullopt: the mode that open_inputs recognises
    std::string json_key = "text";          // jsonl: keys of the strings that are the text (text_key.hpp)
    bool json_key_given = false;            // the user set json_key, which is an error if the inputs are plain text

    std::string tokenizer;  // a file for open_tokenizer(); empty: train_tokenizer is set
    // Not empty: `tokenizer` is a tiktoken file, and this is the pattern that splits text into words: a name of
    // known_tiktoken.hpp or a regular expression. The tokenizer is saved as <output_prefix>.tokenizer.json.
    std::string pattern;
    std::optional<TokenizerTraining> train_tokenizer;  // train a tokenizer and save it as <output_prefix>.model
    // Train on at most this much text, taken from all over the inputs.
    std::int64_t tokenizer_sample_bytes = std::int64_t(64) << 20;

    bool append_eos = true;
    bool skip_bad_lines = false;  // jsonl: count and skip lines that are not an object with such a string
    std::int64_t threads = 1;
    std::int64_t unit_bytes = 1 << 20;                 // text that one thread encodes at a time
    std::int64_t mark_bytes = std::int64_t(64) << 20;  // text between two marks: about what an interruption loses

    // Called by the calling thread after each unit. An exception ends the work; the next prepare() with the same
    // options continues from the last mark.
    std::function<void(const PrepareProgress&)> progress;
    std::function<void(const std::string&)> notice;  // one line: that work resumes, or why it starts from the beginning
};

struct PrepareReport {
    std::string prefix;     // of the token files
    std::string tokenizer;  // path of the tokenizer used
    TokenizerKind tokenizer_kind = TokenizerKind::sentencepiece;
    std::int64_t vocab_size = 0;
    TokenDtype dtype = TokenDtype::uint16;
    std::int64_t documents = 0;        // written; empty documents are not written
    std::int64_t empty_documents = 0;  // not written
    std::int64_t tokens = 0;           // including EOS
    std::int64_t text_bytes = 0;       // encoded
    TextLoss loss;
    LineProblemCounts skipped_lines{};
    std::vector<std::string> first_skipped;  // "file:line: reason" of the first lines that this call skipped
    std::int64_t replaced_characters = 0;    // ill-formed UTF-8 sequences that became U+FFFD
    double seconds = 0;                      // of this call
    std::int64_t resumed_documents = 0;      // written by earlier, interrupted calls
    bool already_done = false;               // the same inputs and options were prepared before; nothing was written
};

// Error(usage) for options that contradict each other; Error(bad_file) for inputs that cannot be read or encoded;
// Error(environment) if the output cannot be written.
PrepareReport prepare(const PrepareOptions& options);

}  // namespace gpas
