// Encodes one unit of text as token ids: the part of `gpas prepare` that runs on every thread.
#pragma once

#include "io/data/json_line.hpp"
#include "io/data/text_loss.hpp"
#include "io/data/text_reader.hpp"
#include "io/data/tokenizer.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

struct EncodedUnit {
    struct Part {  // a document, or a part of one
        std::int64_t tokens = 0;
        bool ends_document = true;
    };
    std::vector<std::int32_t> ids;  // of all parts, in order
    std::vector<Part> parts;
    std::int64_t text_bytes = 0;           // encoded
    std::int64_t replaced_characters = 0;  // ill-formed UTF-8 sequences and lone surrogates, now U+FFFD
    TextLoss loss;
    LineProblemCounts skipped_lines{};
    std::vector<std::string> first_skipped;  // "file:line: reason" of the first skipped lines
    TextPosition next;                       // as in TextUnit
    std::int64_t stored_bytes_done = 0;      // as in TextUnit
};

class DocumentEncoder {
public:
    DocumentEncoder(const Tokenizer& tokenizer, DocumentMode documents, std::string json_key, bool skip_bad_lines);
    // `name`: the file's name for messages. Thread-safe. Error(bad_file) for a bad line, unless skip_bad_lines.
    EncodedUnit encode(const TextUnit& unit, const std::string& name) const;

private:
    const Tokenizer& tokenizer_;
    LossMeter loss_meter_;
    DocumentMode documents_;
    std::string json_key_;
    bool skip_bad_lines_;
};

// text = the record itself, or with DocumentMode::jsonl the text under `key` (text_under_keys). Returns false and fills
// `bad` if the line is not a JSON object with such a text. Each ill-formed UTF-8 sequence and each lone surrogate of the text
// becomes U+FFFD; `replaced` += their number.
bool record_text(std::string_view record, DocumentMode documents, const std::string& key, std::string& text,
                 std::int64_t& replaced, BadLine& bad);

[[noreturn]] void fail_bad_line(const std::string& name, std::int64_t line, const BadLine& bad);

}  // namespace gpas
