// One unit of text to token ids: the part of `gpas prepare` that runs on every thread.
#pragma once

#include "io/data/json_line.hpp"
#include "io/data/text_reader.hpp"
#include "io/data/tokenizer.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

// What decoding the tokens does not give back.
struct TextLoss {
    std::int64_t unknown_tokens = 0;
    std::int64_t characters = 0;       // of the text
    std::int64_t lost_characters = 0;  // of these: dropped or changed by normalisation, or inside an unknown token

    void add(const TextLoss& other);
};

// `ids` are those of `text`. Characters are counted by code point, not by place: a character counts as lost if the text
// has more of them than the decoded tokens have.
TextLoss text_loss(const Tokenizer& tokenizer, std::string_view text, std::span<const std::int32_t> ids);

struct EncodedUnit {
    struct Part {
        std::int64_t tokens = 0;
        bool ends_document = true;
    };
    std::vector<std::int32_t> ids;
    std::vector<Part> parts;
    std::int64_t text_bytes = 0;
    std::int64_t replaced_characters = 0;
    TextLoss loss;
    LineProblemCounts skipped_lines{};
    std::vector<std::string> first_skipped;
    TextPosition next;
    std::int64_t stored_bytes_done = 0;
};

class DocumentEncoder {
public:
    DocumentEncoder(const Tokenizer& tokenizer, DocumentMode documents, std::string json_key, bool skip_bad_lines);
    // `name` of the file is for messages. Safe from many threads.
    EncodedUnit encode(const TextUnit& unit, const std::string& name) const;

private:
    const Tokenizer& tokenizer_;
    DocumentMode documents_;
    std::string json_key_;
    bool skip_bad_lines_;
};

// The text of a record: itself, or the JSON string under `key`. Returns false and fills `bad` if a line is no object
// with such a string. Each ill-formed UTF-8 sequence and each lone surrogate of the text becomes U+FFFD; `replaced` is
// increased by their number.
bool record_text(std::string_view record, DocumentMode documents, const std::string& key, std::string& text,
                 std::int64_t& replaced, BadLine& bad);

[[noreturn]] void fail_bad_line(const std::string& name, std::int64_t line, const BadLine& bad);

}  // namespace gpas
