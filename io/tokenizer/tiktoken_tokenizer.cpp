#include "io/tokenizer/tiktoken_tokenizer.hpp"

#include "base/error.hpp"
#include "io/data/utf8.hpp"
#include "io/tokenizer/byte_alphabet.hpp"
#include "io/tokenizer/known_tiktoken.hpp"
#include "io/tokenizer/lossless.hpp"

#include <utility>

namespace gpas {
namespace {

// tiktoken merges two tokens if their bytes together are a token: each way to cut a token into two tokens is a merge.
MergeTable merges_of(const BpeModel::Vocabulary& vocabulary) {
    const auto for_each_cut = [&](const auto& visit) {
        for (const auto& [token, id] : vocabulary) {
            for (std::size_t cut = 1; cut < token.size(); ++cut) {
                const auto left = vocabulary.find(std::string_view(token).substr(0, cut));
                const auto right = vocabulary.find(std::string_view(token).substr(cut));
                if (left != vocabulary.end() && right != vocabulary.end()) visit(left->second, right->second, id);
            }
        }
    };
    std::size_t count = 0;
    for_each_cut([&](std::int32_t, std::int32_t, std::int32_t) { ++count; });
    MergeTable merges(count);
    for_each_cut([&](std::int32_t left, std::int32_t right, std::int32_t id) { merges.add(left, right, {id, id}); });
    return merges;
}

std::string pattern_for(const TiktokenFile& file, const std::string& given, const std::string& name) {
    if (const char* known = tiktoken_pattern(given)) return known;
    if (!given.empty()) return given;
    if (file.pattern.empty()) {
        fail(
            ExitCode::bad_file,
            "{}: is a tiktoken vocabulary that gpas does not know (it knows those of Llama 3, Llama 4, Qwen, Qwen 3.6 and "
            "cl100k_base), and the file does not contain the pattern that splits text into words: give the pattern to `gpas "
            "prepare --pattern`, which saves a tokenizer.json, or save the tokenizer as tokenizer.json with transformers",
            name);
    }
    return file.pattern;
}

}  // namespace

TiktokenTokenizer::TiktokenTokenizer(std::string bytes, std::string name, const std::string& pattern)
    : name_(std::move(name)),
      bytes_(std::move(bytes)),
      kind_(bytes_.starts_with('{') ? TokenizerKind::tekken : TokenizerKind::tiktoken) {
    TiktokenFile file = kind_ == TokenizerKind::tekken ? read_tekken(bytes_, name_) : read_tiktoken(bytes_, name_);
    const std::string words = pattern_for(file, pattern, name_);
    const auto regex = std::make_shared<Regex>(words, RegexDialect::tiktoken, name_ + ": pattern");
    BpeModel::Vocabulary vocabulary = add_tokens(file);
    add_special(file);
    MergeTable merges = merges_of(vocabulary);
    // Text outside the matches is dropped, as tiktoken does.
    EncoderParts parts{{},
                       std::move(file.normalizer),
                       {SplitByRegex{regex, SplitBehavior::removed, true}},
                       BpeModel(std::move(vocabulary), std::move(merges), {.bytes = true, .ignore_merges = true})};
    encoder_ = std::make_unique<TextEncoder>(std::move(parts));
    lossless_ = keeps_test_texts(*this);
}

BpeModel::Vocabulary TiktokenTokenizer::add_tokens(const TiktokenFile& file) {
    BpeModel::Vocabulary vocabulary;
    vocabulary.reserve(file.tokens.size());
    for (const auto& [token, id] : file.tokens) {
        const auto at = std::size_t(id);
        if (at >= texts_.size()) texts_.resize(at + 1);
        if (!texts_[at].empty() || !vocabulary.emplace(token, id).second)
            fail(ExitCode::bad_file, "{}: is damaged: contains the token {} or the same bytes twice", name_, id);
        texts_[at] = token;
    }
    for (int byte = 0; byte < 256; ++byte) {
        if (!vocabulary.contains(std::string(1, char(byte))))
            fail(ExitCode::bad_file, "{}: has no token for the byte {:02X}: expected all 256 bytes", name_, byte);
    }
    return vocabulary;
}

void TiktokenTokenizer::add_special(const TiktokenFile& file) {
    special_.resize(texts_.size());
    for (const auto& [text, id] : file.special) {
        const auto at = std::size_t(id);
        if (at >= texts_.size()) {
            texts_.resize(at + 1);
            special_.resize(at + 1);
        }
        texts_[at] = text;
        special_[at] = true;
        if (text == "<s>" || text == "<|begin_of_text|>") bos_ = id;
        if (text == "</s>" || text == "<|end_of_text|>" || text == "<|endoftext|>") eos_ = id;
        if (text == "<pad>" || text == "<|finetune_right_pad_id|>" || text == "<|finetune_right_pad|>") pad_ = id;
    }
}

std::string TiktokenTokenizer::decode(std::span<const std::int32_t> ids) const {
    std::string text;
    for (const std::int32_t id : ids) {
        if (id < 0 || id >= vocab_size())
            fail(ExitCode::usage, "{}: token id {} is outside the vocabulary of {}", name_, id, vocab_size());
        if (!special_[std::size_t(id)]) text += texts_[std::size_t(id)];
    }
    return well_formed(std::move(text));
}

std::string TiktokenTokenizer::piece(std::int64_t id) const {
    require(id >= 0 && id < vocab_size(), "{}: piece {} of {}", name_, id, vocab_size());
    const std::string& text = texts_[std::size_t(id)];
    if (special_[std::size_t(id)]) return text;
    std::string spelled;
    append_byte_characters(text, spelled);
    return spelled;
}

std::string TiktokenTokenizer::piece_text(std::int64_t id) const {
    require(id >= 0 && id < vocab_size(), "{}: piece {} of {}", name_, id, vocab_size());
    return special_[std::size_t(id)] ? "" : texts_[std::size_t(id)];
}

}  // namespace gpas
