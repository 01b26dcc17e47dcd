// Added tokens of tokenizer.json: texts that are one token wherever they occur, such as <|endoftext|>.
#pragma once

#include "io/tokenizer/regex.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpas {

struct AddedToken {
    std::string text;
    std::int32_t id = -1;
    bool single_word = false;  // not inside a word
    bool left_strip = false;   // the token takes the white space before it
    bool right_strip = false;  // the token takes the white space after it
    bool normalized = false;   // sought after the normalizers, otherwise before them
    bool special = false;      // has no text when it is decoded
};

// Finds the tokens in a text: at the leftmost place, the longest token. Immutable; thread-safe.
class AddedTokens {
public:
    explicit AddedTokens(std::vector<AddedToken> tokens);  // texts are not empty

    // visit(section, id) for each section of the text from left to right: id >= 0: an added token; -1: text between
    // them, not empty.
    template <class Visit>
    void for_each_section(std::string_view text, const Visit& visit) const {
        std::size_t done = 0;
        Match match;
        for (std::size_t from = 0; find(text, from, match); from = match.next) {
            if (!accept(text, match, done)) continue;
            if (done < match.span.begin) visit(TextSpan{done, match.span.begin}, -1);
            visit(match.span, tokens_[match.token].id);
            done = match.span.end;
        }
        if (done < text.size()) visit(TextSpan{done, text.size()}, -1);
    }

private:
    struct Match {
        TextSpan span;
        std::size_t token = 0;
        std::size_t next = 0;  // the place to continue the search
    };
    struct Node {
        std::vector<std::pair<unsigned char, std::size_t>> children;
        std::int64_t token = -1;
    };
    bool find(std::string_view text, std::size_t from, Match& match) const;
    bool accept(std::string_view text, Match& match, std::size_t done) const;
    const Node* child(const Node& node, char byte) const;

    std::vector<AddedToken> tokens_;
    std::vector<Node> nodes_;         // a trie; the first node is its root
    std::array<bool, 256> begins_{};  // whether a token begins with the byte
};

}  // namespace gpas
