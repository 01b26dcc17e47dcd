#include "io/data/document_encoder.hpp"

#include "io/data/utf8.hpp"
#include "kernels/error.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace gpas {
namespace {

constexpr std::size_t skipped_kept = 5;

bool json_text(std::string_view line, const std::string& key, std::string& text, std::string& problem) {
    try {
        const auto object = nlohmann::json::parse(line);
        if (!object.is_object()) {
            problem = fmt::format("is a JSON {}, expected an object", object.type_name());
        } else if (!object.contains(key)) {
            problem = fmt::format("the object has no \"{}\"", key);
        } else if (!object[key].is_string()) {
            problem = fmt::format("\"{}\" is a JSON {}, expected a string", key, object[key].type_name());
        } else {
            text = object[key].get<std::string>();
            return true;
        }
    } catch (const nlohmann::json::parse_error& error) {
        problem = fmt::format("is no JSON: damaged at byte {} of the line", error.byte);
    }
    return false;
}

}  // namespace

bool record_text(std::string_view record, DocumentMode documents, const std::string& key, std::string& text,
                 std::int64_t& replaced, std::string& problem) {
    std::string repaired;
    if (valid_utf8_prefix(record) != record.size()) {
        repaired = repair_utf8(record, replaced);
        record = repaired;
    }
    if (documents == DocumentMode::jsonl) return json_text(record, key, text, problem);
    text.assign(record);
    return true;
}

DocumentEncoder::DocumentEncoder(const Tokenizer& tokenizer, DocumentMode documents, std::string json_key,
                                 bool skip_bad_lines)
    : tokenizer_(tokenizer), documents_(documents), json_key_(std::move(json_key)), skip_bad_lines_(skip_bad_lines) {}

EncodedUnit DocumentEncoder::encode(const TextUnit& unit, const std::string& path) const {
    EncodedUnit result;
    result.next = unit.next;
    result.stored_bytes_done = unit.stored_bytes_done;
    std::string text, problem;
    for (const TextRecord& record : unit.records) {
        const auto bytes = std::string_view(unit.text).substr(record.begin, record.end - record.begin);
        if (documents_ == DocumentMode::jsonl && bytes.find_first_not_of(" \t") == std::string_view::npos) continue;
        if (!record_text(bytes, documents_, json_key_, text, result.replaced_characters, problem)) {
            const std::string message = fmt::format("{}:{}: {}", path, record.line, problem);
            if (!skip_bad_lines_) fail(ExitCode::bad_file, "{}; --skip-bad-lines leaves such lines out", message);
            ++result.skipped_lines;
            if (result.first_skipped.size() < skipped_kept) result.first_skipped.push_back(message);
            continue;
        }
        const auto before = std::int64_t(result.ids.size());
        tokenizer_.encode(text, result.ids);
        result.parts.push_back({std::int64_t(result.ids.size()) - before, record.ends_document});
        result.text_bytes += std::int64_t(text.size());
    }
    return result;
}

}  // namespace gpas
