#include "io/data/tokenizer_kind.hpp"

#include "base/error.hpp"
#include "io/data/file_kind.hpp"
#include "io/data/utf8.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace gpas {
namespace {

using nlohmann::json;

// What a file is: a tokenizer of this kind, or, without a kind, something else that `text` describes: "an HTML page:
// download the file again".
struct Finding {
    std::optional<TokenizerKind> kind;
    std::string text;
};

constexpr const char* not_read =
    "; gpas reads SentencePiece models, tokenizer.json, tekken.json and tiktoken files: name such a file, or train a "
    "tokenizer with `gpas prepare --train-tokenizer`";

// Reads JSON until a key shows what the file is.
class JsonKind : public json::json_sax_t {
public:
    Finding finding{std::nullopt, std::string("a JSON file, but not a tokenizer.json or tekken.json") + not_read};

    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return count_id(); }
    bool number_unsigned(number_unsigned_t) override { return count_id(); }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override {
        if (depth_ == 1 && key_ == "model") return is(TokenizerKind::hugging_face);
        ++depth_;
        return true;
    }
    bool end_object() override {
        --depth_;
        return true;
    }
    bool start_array(std::size_t) override {
        ++depth_;
        return true;
    }
    bool end_array() override {
        --depth_;
        return true;
    }
    bool key(string_t& key) override {
        if (key == "token_bytes") return is(TokenizerKind::tekken);
        if (depth_ != 1) return true;
        key_ = key;
        if (key == "added_tokens") return is(TokenizerKind::hugging_face);
        if (key == "tokenizer_class" || key == "added_tokens_decoder")
            return is_other(
                "a tokenizer_config.json, which has no vocabulary: name the tokenizer.json or *.model file");
        if (key == "model_type" || key == "architectures")
            return is_other("a config.json, which has no vocabulary: name the tokenizer.json or *.model file");
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
        return is_other(fmt::format("JSON that is damaged or cut off at byte {}: copy or download it again", position));
    }

private:
    bool is(TokenizerKind kind) {
        finding = {kind, ""};
        return false;
    }
    bool is_other(std::string text) {
        finding.text = std::move(text);
        return false;
    }
    // An object of integers is a vocab.json: {"!": 0, "\"": 1, ...}.
    bool count_id() {
        if (depth_ == 1 && ++ids_ == 16)
            return is_other("a vocab.json, which has no merges: name the tokenizer.json that belongs to it");
        return true;
    }

    int depth_ = 0, ids_ = 0;
    std::string key_;
};

bool base64(std::string_view text) {
    return !text.empty() && text.size() % 4 == 0 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
               c == '=';
    });
}

bool number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    return !text.empty() && text.find_first_not_of("0123456789.e-") == std::string_view::npos;
}

// Recognises the kind of a text file by its first line.
Finding line_kind(std::string_view text) {
    std::string_view line = text.substr(0, text.find('\n'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t space = line.rfind(' '), tab = line.rfind('\t');
    if (line.starts_with("#version:")) return {std::nullopt, std::string("a merges.txt of Hugging Face") + not_read};
    if (space != std::string_view::npos && base64(line.substr(0, space)) && number(line.substr(space + 1)))
        return {TokenizerKind::tiktoken, ""};
    if (tab != std::string_view::npos && number(line.substr(tab + 1)))
        return {std::nullopt,
                "a list of pieces (the .vocab file that SentencePiece writes): use the .model file that was written "
                "with it"};
    if (line.starts_with('[') && line.ends_with(']'))
        return {std::nullopt, std::string("a WordPiece vocabulary (vocab.txt)") + not_read};
    return {std::nullopt, std::string("a text file") + not_read};
}

Finding text_kind(std::string_view text) {
    if (is_html(text)) return {std::nullopt, "an HTML page: download the file again"};
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {std::nullopt, "a file of white space only: copy or download it again"};
    const std::size_t second = text.find_first_not_of(" \t\r\n", first + 1);
    const bool objects = text[first] == '[' && second != std::string_view::npos && text[second] == '{';
    if (text[first] != '{' && !objects) return line_kind(text);
    JsonKind found;
    json::sax_parse(text.begin(), text.end(), &found, json::input_format_t::json, false);
    return found.finding;
}

Finding find_kind(std::string_view bytes) {
    const std::string_view head = bytes.substr(0, head_bytes);
    if (is_git_lfs_pointer(head))
        return {std::nullopt, "a Git LFS pointer, not the tokenizer: download the file (git lfs pull)"};
    if (const auto kind = known_kind(head)) {
        const bool packed = kind->is_filter && kind->as_stream.ends_with(" -dc FILE");
        return {std::nullopt,
                kind->name + (packed ? fmt::format(", not a tokenizer: unpack it first ({} > NEW)", kind->as_stream)
                                     : not_read)};
    }
    // The first byte of a SentencePiece model is a newline, and the second byte is the length of a message, often a
    // control character. Text has no control characters except white space.
    const bool text = std::none_of(head.begin(), head.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
    });
    if (!text || valid_utf8_prefix(head) + 4 < head.size()) return {TokenizerKind::sentencepiece, ""};
    return text_kind(bytes);
}

}  // namespace

TokenizerKind recognise_tokenizer(std::string_view bytes, const std::string& name) {
    if (bytes.empty()) fail(ExitCode::bad_file, "{}: is empty, expected a tokenizer: copy or download it again", name);
    const Finding found = find_kind(bytes);
    if (!found.kind) fail(ExitCode::bad_file, "{}: is {}", name, found.text);
    return *found.kind;
}

}  // namespace gpas
