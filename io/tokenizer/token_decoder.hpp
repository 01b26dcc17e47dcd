// Decoders of tokenizer.json: they turn tokens into text.
#pragma once

#include "io/tokenizer/normalizer.hpp"

#include <string>
#include <variant>
#include <vector>

namespace gpas {

struct DecodeByteLevel {};     // characters of the byte-level alphabet become bytes; joins the tokens
struct DecodeByteFallback {};  // <0x41> becomes the byte 41
struct DecodeMetaspace {
    std::string space;        // the character that stands for a space
    bool drop_first = false;  // remove this character from the beginning of the text
};
struct FuseTokens {};  // joins the tokens
struct StripCharacter {
    std::string character;
    std::size_t start = 0, stop = 0;  // at most this number of characters at the start and at the end of each token
};

using DecoderStep =
    std::variant<DecodeByteLevel, DecodeByteFallback, DecodeMetaspace, ReplaceText, FuseTokens, StripCharacter>;

// The text of the tokens. Without steps the tokens are joined with spaces. Ill-formed UTF-8 becomes U+FFFD. Thread-safe.
std::string decode_tokens(const std::vector<DecoderStep>& steps, std::vector<std::string> tokens);

// The bytes of one token, regardless of its position; may be a part of a character. Thread-safe.
std::string decode_token(const std::vector<DecoderStep>& steps, std::string token);

}  // namespace gpas
