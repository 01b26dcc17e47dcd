// One unit of text to token ids: the part of `gpas prepare` that runs on every thread.
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
    LossMeter loss_meter_;
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
