// Raw text to token files: what `gpas prepare` does. The result depends on the inputs and the options only, not on the
// number of threads or on interruptions.
#pragma once

#include "io/data/document_encoder.hpp"
#include "io/data/indexed_dataset.hpp"
#include "io/data/text_input.hpp"
#include "io/data/tokenizer.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct PrepareProgress {
    std::int64_t stored_bytes_done = 0, stored_bytes = 0;  // of the input files, as they lie on disk; total 0: unknown
    std::int64_t documents = 0, tokens = 0;
};

struct PrepareOptions {
    std::vector<std::string> inputs;        // text or JSONL files, plain, .gz or .zst, folders of them, "-", pipes
    std::string output_prefix;              // writes <output_prefix>_<json_key>_document.bin and .idx
    std::optional<DocumentMode> documents;  // without: as open_inputs concludes
    std::string json_key = "text";          // jsonl: which string of the object is the text
    bool json_key_given = false;            // by the user: refused for plain text

    std::string tokenizer;                                         // a .model file; or, when empty,
    std::optional<TokenizerTraining> train_tokenizer;              // one is trained and saved as <output_prefix>.model
    std::int64_t tokenizer_sample_bytes = std::int64_t(64) << 20;  // on at most so much text, spread over the inputs

    bool append_eos = true;
    bool skip_bad_lines = false;  // jsonl: lines that are no object with that string are counted and left out
    std::int64_t threads = 1;
    std::int64_t unit_bytes = 1 << 20;                 // text that one thread encodes at a time
    std::int64_t mark_bytes = std::int64_t(64) << 20;  // an interruption loses at most about so much text

    // Called from the calling thread after each unit. What it throws ends the work; the next prepare with the same
    // options goes on from the last mark.
    std::function<void(const PrepareProgress&)> progress;
    std::function<void(const std::string&)> notice;  // one line: resuming, starting afresh and why
};

struct PrepareReport {
    std::string prefix;     // of the token files
    std::string tokenizer;  // path of the model used
    std::int64_t vocab_size = 0;
    TokenDtype dtype = TokenDtype::uint16;
    std::int64_t documents = 0;  // with text; those without any are left out
    std::int64_t empty_documents = 0;
    std::int64_t tokens = 0;      // with EOS
    std::int64_t text_bytes = 0;  // that were encoded
    TextLoss loss;
    LineProblemCounts skipped_lines{};
    std::vector<std::string> first_skipped;  // file:line: reason, a few of them (of this call)
    std::int64_t replaced_characters = 0;    // ill-formed UTF-8, now U+FFFD
    double seconds = 0;                      // of this call
    std::int64_t resumed_documents = 0;      // done by earlier calls
    bool already_done = false;               // the same inputs and options were prepared before; nothing was written
};

PrepareReport prepare(const PrepareOptions& options);

}  // namespace gpas
