#include "io/tokenizer/added_tokens.hpp"

#include "io/tokenizer/code_point.hpp"
#include "io/tokenizer/normalizer.hpp"

#include <algorithm>

namespace gpas {
namespace {

// The character that ends at the end of the text, or begins at its beginning, is part of a word (\w).
const Regex& word_at_end() {
    static const Regex regex("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]\\z", RegexDialect::hugging_face,
                             "added tokens");
    return regex;
}

bool is_word(std::string_view character) {
    RegexScratch scratch;
    TextSpan match;
    return word_at_end().search(character, 0, match, scratch);
}

bool ends_with_word(std::string_view text) {
    if (text.empty()) return false;
    std::size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    return is_word(text.substr(begin));
}

bool starts_with_word(std::string_view text) {
    return !text.empty() && is_word(text.substr(0, character_bytes(text[0])));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), nodes_(1) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
        std::size_t at = 0;
        for (const char c : tokens_[i].text) {
            const auto byte = static_cast<unsigned char>(c);
            auto& children = nodes_[at].children;
            const auto found =
                std::find_if(children.begin(), children.end(), [&](const auto& entry) { return entry.first == byte; });
            if (found != children.end()) {
                at = found->second;
                continue;
            }
            children.emplace_back(byte, nodes_.size());
            at = nodes_.size();
            nodes_.emplace_back();
        }
        nodes_[at].token = std::int64_t(i);
    }
    for (const auto& [byte, node] : nodes_[0].children) begins_[byte] = true;
}

const AddedTokens::Node* AddedTokens::child(const Node& node, char byte) const {
    for (const auto& [next, index] : node.children)
        if (next == static_cast<unsigned char>(byte)) return &nodes_[index];
    return nullptr;
}

bool AddedTokens::find(std::string_view text, std::size_t from, Match& match) const {
    if (tokens_.empty()) return false;
    for (std::size_t begin = from; begin < text.size(); ++begin) {
        if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
        std::int64_t longest = -1;
        std::size_t end = begin;
        const Node* node = &nodes_[0];
        for (std::size_t at = begin; at < text.size() && (node = child(*node, text[at])) != nullptr; ++at) {
            if (node->token < 0) continue;
            longest = node->token;
            end = at + 1;
        }
        if (longest < 0) continue;
        match = {{begin, end}, std::size_t(longest), end};
        return true;
    }
    return false;
}

bool AddedTokens::accept(std::string_view text, Match& match, std::size_t done) const {
    const AddedToken& token = tokens_[match.token];
    TextSpan& span = match.span;
    if (token.single_word && (ends_with_word(text.substr(0, span.begin)) || starts_with_word(text.substr(span.end))))
        return false;
    // A token before it may have taken white space of this token, which then is found nevertheless.
    if (token.left_strip && done <= span.begin)
        span.begin = std::max(done, span.begin - trailing_space(text.substr(0, span.begin)));
    if (token.right_strip) span.end += leading_space(text.substr(span.end));
    return true;
}

}  // namespace gpas
