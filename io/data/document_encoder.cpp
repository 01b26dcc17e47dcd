#include "io/data/document_encoder.hpp"

#include "base/error.hpp"
#include "io/data/text_key.hpp"
#include "io/data/utf8.hpp"

#include <span>
#include <utility>

namespace gpas {
namespace {

constexpr std::size_t skipped_kept = 5;

}  // namespace

bool record_text(std::string_view record, DocumentMode documents, const std::string& key, std::string& text,
                 std::int64_t& replaced, BadLine& bad) {
    if (documents == DocumentMode::jsonl) {
        if (!text_under_keys(record, key, text, bad)) return false;
    } else {
        text.assign(record);
    }
    if (valid_utf8_prefix(text) != text.size()) text = repair_utf8(text, replaced);
    return true;
}

void fail_bad_line(const std::string& name, std::int64_t line, const BadLine& bad) {
    const char* key = bad.problem == LineProblem::no_key ? "--text-key names the key of the text, " : "";
    fail(ExitCode::bad_file, "{}:{}: {}; {}--skip-bad-lines leaves such lines out", name, line, bad.reason, key);
}

DocumentEncoder::DocumentEncoder(const Tokenizer& tokenizer, DocumentMode documents, std::string json_key,
                                 bool skip_bad_lines)
    : tokenizer_(tokenizer),
      loss_meter_(tokenizer),
      documents_(documents),
      json_key_(std::move(json_key)),
      skip_bad_lines_(skip_bad_lines) {}

EncodedUnit DocumentEncoder::encode(const TextUnit& unit, const std::string& name) const {
    EncodedUnit result;
    result.next = unit.next;
    result.stored_bytes_done = unit.stored_bytes_done;
    LossMeter::Counts counts;
    std::string text;
    for (const TextRecord& record : unit.records) {
        const auto bytes = std::string_view(unit.text).substr(record.begin, record.end - record.begin);
        if (documents_ == DocumentMode::jsonl && !record.too_long && is_blank(bytes)) continue;
        BadLine bad{LineProblem::too_long, "the line is too long"};
        if (record.missing) bad = {LineProblem::not_string, "the text of this row is null"};
        if (record.too_long || record.missing ||
            !record_text(bytes, documents_, json_key_, text, result.replaced_characters, bad)) {
            if (!skip_bad_lines_) fail_bad_line(name, record.line, bad);
            ++result.skipped_lines[std::size_t(bad.problem)];
            if (result.first_skipped.size() < skipped_kept)
                result.first_skipped.push_back(fmt::format("{}:{}: {}", name, record.line, bad.reason));
            continue;
        }
        const std::size_t before = result.ids.size();
        tokenizer_.encode(text, result.ids);
        const std::span<const std::int32_t> ids = std::span(result.ids).subspan(before);
        result.parts.push_back({std::int64_t(ids.size()), record.ends_document});
        result.loss.add(loss_meter_.measure(text, ids, counts));
        result.text_bytes += std::int64_t(text.size());
    }
    return result;
}

}  // namespace gpas
