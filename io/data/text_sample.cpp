#include "io/data/text_sample.hpp"

#include "io/data/document_encoder.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace gpas {
namespace {

// The amount of text in the inputs: exact for plain files; a compressed file counts as four times its size, and a
// Parquet file as twice its size.
std::int64_t estimated_text_bytes(const TextInputs& inputs) {
    const std::int64_t plain = inputs.documents == DocumentMode::parquet ? 2 : 1;
    std::int64_t bytes = 0;
    for (const TextInput& file : inputs.files) bytes += file.stored_bytes * (file.compressed() ? 4 : plain);
    return bytes;
}

}  // namespace

TextSample::TextSample(const TextInputs& inputs, TextSampleOptions options)
    : options_(std::move(options)),
      documents_(inputs.documents),
      reader_(inputs.files, {.documents = documents_,
                             .unit_bytes = options_.unit_bytes,
                             .skip_long_lines = options_.skip_bad_lines,
                             .columns = options_.json_key}),
      stride_(std::max<std::int64_t>(1, estimated_text_bytes(inputs) / options_.sample_bytes)) {}

bool TextSample::next(std::string& text) {
    while (used_bytes_ < options_.sample_bytes) {
        while (record_ == unit_.records.size()) {
            if (!reader_.next(unit_)) return false;
            const bool chosen = units_++ % stride_ == 0;
            if (chosen) load_row_group(unit_);
            record_ = chosen ? 0 : unit_.records.size();
        }
        const TextRecord& record = unit_.records[record_++];
        if (record.too_long) continue;
        std::int64_t replaced = 0;
        BadLine bad{LineProblem::not_string, "the text of this row is null"};
        const auto bytes = std::string_view(unit_.text).substr(record.begin, record.end - record.begin);
        if (documents_ == DocumentMode::jsonl && is_blank(bytes)) continue;
        if (record.missing || !record_text(bytes, documents_, options_.json_key, text, replaced, bad)) {
            if (options_.skip_bad_lines) continue;
            fail_bad_line(reader_.files()[std::size_t(unit_.file)].name(), record.line, bad);
        }
        used_bytes_ += std::int64_t(text.size());
        return true;
    }
    return false;
}

}  // namespace gpas
