#include "io/data/document_encoder.hpp"

#include "io/data/utf8.hpp"
#include "kernels/error.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace gpas {
namespace {

constexpr std::size_t skipped_kept = 5;

// Code points of `text` are added `sign` times to a histogram.
void count_characters(std::string_view text, std::int64_t sign,
                      std::unordered_map<std::uint32_t, std::int64_t>& counts) {
    for (std::size_t i = 0; i < text.size();) {
        std::uint32_t bytes = static_cast<unsigned char>(text[i++]);
        while (i < text.size() && (text[i] & '\xc0') == '\x80')
            bytes = bytes << 8 | static_cast<unsigned char>(text[i++]);
        counts[bytes] += sign;
    }
}

}  // namespace

void TextLoss::add(const TextLoss& other) {
    unknown_tokens += other.unknown_tokens;
    characters += other.characters;
    lost_characters += other.lost_characters;
}

TextLoss text_loss(const Tokenizer& tokenizer, std::string_view text, std::span<const std::int32_t> ids) {
    TextLoss loss;
    loss.characters = std::count_if(text.begin(), text.end(), [](char c) { return (c & '\xc0') != '\x80'; });
    if (tokenizer.lossless()) return loss;
    loss.unknown_tokens = std::count(ids.begin(), ids.end(), tokenizer.unk_id());
    std::unordered_map<std::uint32_t, std::int64_t> counts;
    count_characters(text, 1, counts);
    count_characters(tokenizer.decode(ids), -1, counts);
    if (loss.unknown_tokens > 0) {  // what stands for them, such as " \u2047 ", was not in the text
        const std::int32_t unknown = tokenizer.unk_id();
        count_characters(tokenizer.decode({&unknown, 1}), loss.unknown_tokens, counts);
    }
    for (const auto& [character, count] : counts) loss.lost_characters += std::max<std::int64_t>(count, 0);
    return loss;
}

bool record_text(std::string_view record, DocumentMode documents, const std::string& key, std::string& text,
                 std::int64_t& replaced, BadLine& bad) {
    if (documents == DocumentMode::jsonl) {
        if (!json_line_text(record, key, text, bad)) return false;
    } else {
        text.assign(record);
    }
    if (valid_utf8_prefix(text) != text.size()) text = repair_utf8(text, replaced);
    return true;
}

void fail_bad_line(const std::string& name, std::int64_t line, const BadLine& bad) {
    fail(ExitCode::bad_file, "{}:{}: {}; --skip-bad-lines leaves such lines out", name, line, bad.reason);
}

DocumentEncoder::DocumentEncoder(const Tokenizer& tokenizer, DocumentMode documents, std::string json_key,
                                 bool skip_bad_lines)
    : tokenizer_(tokenizer), documents_(documents), json_key_(std::move(json_key)), skip_bad_lines_(skip_bad_lines) {}

EncodedUnit DocumentEncoder::encode(const TextUnit& unit, const std::string& name) const {
    EncodedUnit result;
    result.next = unit.next;
    result.stored_bytes_done = unit.stored_bytes_done;
    std::string text;
    for (const TextRecord& record : unit.records) {
        const auto bytes = std::string_view(unit.text).substr(record.begin, record.end - record.begin);
        if (documents_ == DocumentMode::jsonl && !record.too_long && is_blank(bytes)) continue;
        BadLine bad{LineProblem::too_long, "the line is too long"};
        if (record.too_long || !record_text(bytes, documents_, json_key_, text, result.replaced_characters, bad)) {
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
        result.loss.add(text_loss(tokenizer_, text, ids));
        result.text_bytes += std::int64_t(text.size());
    }
    return result;
}

}  // namespace gpas
