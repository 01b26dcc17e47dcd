// Converts tokens to text while they are generated.
#pragma once

#include "io/data/tokenizer.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// Text of tokens that follow a prompt. Decodes the last few tokens only, so a token costs the same at any length.
class TextStream {
public:
    // Keeps a reference.
    TextStream(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt);

    // The text that has become complete with this token. Several tokens can make one character: until the character is
    // complete, the text is empty.
    std::string add(std::int32_t token);
    // The text of the tokens that have not become complete: U+FFFD for the bytes of an incomplete character.
    std::string rest();

private:
    std::string take(bool incomplete);

    const Tokenizer& tokenizer_;
    std::vector<std::int32_t> tokens_;
    std::size_t context_ = 0;   // tokens before this one are not decoded again
    std::size_t returned_ = 0;  // tokens whose text was returned
};

}  // namespace gpas
