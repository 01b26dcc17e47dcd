#include "io/tokenizer/token_decoder.hpp"

#include "io/data/utf8.hpp"
#include "io/tokenizer/byte_alphabet.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace gpas {
namespace {

using Tokens = std::vector<std::string>;

std::string joined(const Tokens& tokens, std::string_view between = "") {
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (i > 0) text += between;
        text += tokens[i];
    }
    return text;
}

std::optional<char> byte_token(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    unsigned byte = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    if (error != std::errc() || end != token.data() + 5) return std::nullopt;
    return char(byte);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
}

std::string byte_level(const std::string& token) {
    std::string bytes;
    return append_bytes_of_characters(token, bytes) ? bytes : token;
}

void strip_character(const StripCharacter& step, std::string& token) {
    const std::size_t size = step.character.size();
    for (std::size_t i = 0; i < step.start && token.starts_with(step.character); ++i) token.erase(0, size);
    for (std::size_t i = 0; i < step.stop && token.ends_with(step.character); ++i) token.resize(token.size() - size);
}

struct DecodeStep {
    Tokens& tokens;

    void operator()(const DecodeByteLevel&) const {
        std::string bytes;
        for (const std::string& token : tokens) bytes += byte_level(token);
        tokens = {well_formed(bytes)};
    }
    // As in Hugging Face's tokenizers, each byte of an ill-formed run of byte tokens becomes one U+FFFD.
    void operator()(const DecodeByteFallback&) const {
        Tokens result;
        std::string bytes;
        const auto flush = [&] {
            if (valid_utf8_prefix(bytes) == bytes.size()) {
                if (!bytes.empty()) result.push_back(bytes);
            } else {
                result.insert(result.end(), bytes.size(), "\xef\xbf\xbd");
            }
            bytes.clear();
        };
        for (const std::string& token : tokens) {
            if (const auto byte = byte_token(token)) {
                bytes += *byte;
            } else {
                flush();
                result.push_back(token);
            }
        }
        flush();
        tokens = std::move(result);
    }
    void operator()(const DecodeMetaspace& step) const {
        for (std::size_t i = 0; i < tokens.size(); ++i)
            replace_all(tokens[i], step.space, i == 0 && step.drop_first ? "" : " ");
    }
    void operator()(const ReplaceText& step) const {
        RegexScratch scratch;
        for (std::string& token : tokens) replace_text(step, token, scratch);
    }
    void operator()(const FuseTokens&) const { tokens = {joined(tokens)}; }
    void operator()(const StripCharacter& step) const {
        for (std::string& token : tokens) strip_character(step, token);
    }
};

struct DecodeOneToken {
    std::string& token;

    void operator()(const DecodeByteLevel&) const { token = byte_level(token); }
    void operator()(const DecodeByteFallback&) const {
        if (const auto byte = byte_token(token)) token = std::string(1, *byte);
    }
    void operator()(const DecodeMetaspace& step) const { replace_all(token, step.space, " "); }
    void operator()(const ReplaceText& step) const {
        RegexScratch scratch;
        replace_text(step, token, scratch);
    }
    void operator()(const FuseTokens&) const {}
    void operator()(const StripCharacter&) const {}
};

}  // namespace

std::string decode_tokens(const std::vector<DecoderStep>& steps, std::vector<std::string> tokens) {
    if (steps.empty()) return well_formed(joined(tokens, " "));
    for (const DecoderStep& step : steps) std::visit(DecodeStep{tokens}, step);
    return well_formed(joined(tokens));
}

std::string decode_token(const std::vector<DecoderStep>& steps, std::string token) {
    for (const DecoderStep& step : steps) std::visit(DecodeOneToken{token}, step);
    return token;
}

}  // namespace gpas
