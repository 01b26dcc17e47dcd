#include "io/data/tokenizer_kind.hpp"

#include "io/data/file_kind.hpp"
#include "io/data/json_line.hpp"
#include "io/data/utf8.hpp"

#include <algorithm>

namespace gpas {
namespace {

constexpr const char* what_to_do =
    "; gpas reads SentencePiece models: give it the tokenizer.model that belongs to this file, if there is one, or "
    "train a "
    "tokenizer with `gpas prepare --train-tokenizer`";

bool base64(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
               c == '=';
    });
}

bool number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    return !text.empty() && text.find_first_not_of("0123456789.e-") == std::string_view::npos;
}

// Recognises the kind of a text file by its first line.
std::string text_kind(std::string_view text) {
    if (is_html(text)) return "an HTML page: download the file again";
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    const char first = json_head(text).first;
    const bool hugging_face = text.find("\"model\"") != std::string_view::npos;
    if (first == '{' || first == '[')
        return (hugging_face ? "a tokenizer.json of Hugging Face" : "a JSON file") + std::string(what_to_do);
    if (text.starts_with("#version:")) return "a merges.txt of Hugging Face" + std::string(what_to_do);
    std::string_view line = text.substr(0, text.find('\n'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t space = line.rfind(' '), tab = line.rfind('\t');
    if (space != std::string_view::npos && base64(line.substr(0, space)) && number(line.substr(space + 1)) &&
        space % 4 == 0)
        return "a tiktoken vocabulary" + std::string(what_to_do);
    if (tab != std::string_view::npos && number(line.substr(tab + 1)))
        return "a list of pieces (the .vocab file that SentencePiece writes): use the .model file that was written "
               "with it";
    if (line.starts_with('[') && line.ends_with(']'))
        return "a WordPiece vocabulary (vocab.txt)" + std::string(what_to_do);
    return "a text file" + std::string(what_to_do);
}

}  // namespace

std::string foreign_tokenizer(std::string_view bytes) {
    const std::string_view head = bytes.substr(0, head_bytes);
    if (is_git_lfs_pointer(head)) return "a Git LFS pointer, not the tokenizer: download the file (git lfs pull)";
    if (const auto kind = known_kind(head)) return kind->name + what_to_do;
    // The first byte of a SentencePiece model is a newline, and the second byte is the length of a message, often a
    // control character. Text has no control characters except white space.
    const bool text = std::none_of(head.begin(), head.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t';
    });
    if (!text || valid_utf8_prefix(head) + 4 < head.size()) return "";
    return text_kind(head);
}

}  // namespace gpas
