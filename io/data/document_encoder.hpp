// One unit of text to token ids: the part of `gpas prepare` that runs on every thread.
#pragma once

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
    std::int64_t skipped_lines = 0;
    std::vector<std::string> first_skipped;
    TextPosition next;
    std::int64_t stored_bytes_done = 0;
};

class DocumentEncoder {
public:
    DocumentEncoder(const Tokenizer& tokenizer, DocumentMode documents, std::string json_key, bool skip_bad_lines);
    EncodedUnit encode(const TextUnit& unit, const std::string& path) const;  // safe from many threads

private:
    const Tokenizer& tokenizer_;
    DocumentMode documents_;
    std::string json_key_;
    bool skip_bad_lines_;
};

// The text of a record: itself, or the JSON string under `key`. False, with the reason, where a line is no such object.
// Ill-formed UTF-8 is repaired and counted.
bool record_text(std::string_view record, DocumentMode documents, const std::string& key, std::string& text,
                 std::int64_t& replaced, std::string& problem);

}  // namespace gpas
