#include "io/tokenizer/json_tokenizer.hpp"

#include "base/error.hpp"
#include "io/tokenizer/bpe_file.hpp"
#include "io/tokenizer/byte_alphabet.hpp"
#include "io/tokenizer/components.hpp"
#include "io/tokenizer/lossless.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace gpas {
namespace {

using UsualNames = std::span<const std::string_view>;

constexpr std::array<std::string_view, 5> usual_bos{"<s>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<bos>",
                                                    "<|startoftext|>"};
constexpr std::array<std::string_view, 5> usual_eos{"</s>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<eos>",
                                                    "<|endoftext|>"};
constexpr std::array<std::string_view, 5> usual_pad{"<pad>", "<|pad|>", "[PAD]", "<｜▁pad▁｜>",
                                                    "<|finetune_right_pad_id|>"};

std::int32_t usual_id(const std::vector<AddedToken>& added, UsualNames names) {
    for (const std::string_view name : names) {
        const auto found = std::find_if(added.begin(), added.end(),
                                        [&](const auto& token) { return token.special && token.text == name; });
        if (found != added.end()) return found->id;
    }
    return -1;
}

// If the last step maps bytes to characters, the model can encode the bytes themselves: the vocabulary becomes one of
// bytes, and the step is left out.
void encode_bytes_directly(std::vector<PreTokenizerStep>& steps, BpeFile& file) {
    if (steps.empty() || !std::holds_alternative<MapBytes>(steps.back())) return;
    for (int byte = 0; byte < 256; ++byte)
        if (!file.vocabulary.contains(byte_character(static_cast<unsigned char>(byte)))) return;
    BpeModel::Vocabulary bytes;
    bytes.reserve(file.vocabulary.size());
    for (const auto& [token, id] : file.vocabulary) {
        std::string text;
        if (append_bytes_of_characters(token, text)) bytes.emplace(std::move(text), id);
    }
    file.vocabulary = std::move(bytes);
    file.options.bytes = true;
    steps.pop_back();
}

}  // namespace

JsonTokenizer::JsonTokenizer(std::string json, std::string name, const NamedTokens& named)
    : name_(std::move(name)), json_(std::move(json)) {
    const nlohmann::json root = parse_tokenizer_json(json_, name_);
    const JsonNode file(root, name_);
    std::vector<NormalizerStep> normalizer;
    std::vector<PreTokenizerStep> pre_tokenizer;
    if (const auto node = file.find("normalizer")) read_normalizer(*node, normalizer);
    if (const auto node = file.find("pre_tokenizer")) read_pre_tokenizer(*node, pre_tokenizer);
    if (const auto node = file.find("decoder")) read_decoder(*node, decoder_);
    BpeFile bpe(file.at("model"));
    std::vector<AddedToken> added;
    if (const auto node = file.find("added_tokens")) added = read_added_tokens(*node, bpe.vocabulary, bpe.pieces);
    pieces_ = std::move(bpe.pieces);
    mark_added(added, normalizer);
    unk_ = bpe.options.unk_id;
    find_special_ids(file, added, named);
    encode_bytes_directly(pre_tokenizer, bpe);
    encoder_ = std::make_unique<TextEncoder>(
        EncoderParts{std::move(added), std::move(normalizer), std::move(pre_tokenizer),
                     BpeModel(std::move(bpe.vocabulary), std::move(bpe.merges), bpe.options)});
    lossless_ = std::find(special_.begin(), special_.end(), true) == special_.end() && keeps_test_texts(*this);
}

void JsonTokenizer::mark_added(const std::vector<AddedToken>& added, const std::vector<NormalizerStep>& normalizer) {
    special_.resize(pieces_.size());
    RegexScratch scratch;
    for (const AddedToken& token : added) {
        special_[std::size_t(token.id)] = special_[std::size_t(token.id)] || token.special;
        if (!token.normalized || normalizer.empty()) continue;
        std::string text = token.text;
        normalize(normalizer, text, scratch);
        normalized_[token.id] = std::move(text);
    }
}

const std::string& JsonTokenizer::token_for_decoder(std::int32_t id) const {
    const auto normalized = normalized_.find(id);
    return normalized == normalized_.end() ? pieces_[std::size_t(id)] : normalized->second;
}

std::int32_t JsonTokenizer::id_of(const NamedToken& token) const {
    if (token.text.empty()) return token.id;
    const auto found = std::find(pieces_.begin(), pieces_.end(), token.text);
    return found == pieces_.end() ? -1 : std::int32_t(found - pieces_.begin());
}

void JsonTokenizer::find_special_ids(const JsonNode& file, const std::vector<AddedToken>& added,
                                     const NamedTokens& named) {
    TextEnds ends;
    if (const auto node = file.find("post_processor")) read_post_processor(*node, ends);
    bos_ = ends.bos >= 0 ? ends.bos : usual_id(added, usual_bos);
    eos_ = ends.eos >= 0 ? ends.eos : usual_id(added, usual_eos);
    pad_ = usual_id(added, usual_pad);
    for (const auto& [token, id] : {std::pair(&named.bos, &bos_), std::pair(&named.eos, &eos_)}) {
        if (token->text.empty() && token->id < 0) continue;
        *id = id_of(*token);
        if (*id < 0)
            fail(ExitCode::bad_file, "{}: found {}, expected a token of {}: the two files are of different tokenizers",
                 token->place, nlohmann::json(token->text).dump(), name_);
    }
    if (const std::int32_t id = id_of(named.pad); id >= 0)
        pad_ = id;
    else if (const auto padding = file.find("padding"); padding && padding->find("pad_id"))
        pad_ = std::int32_t(padding->at("pad_id").integer(most_tokens - 1));
    for (const std::int32_t id : {bos_, eos_, pad_}) {
        if (id >= vocab_size())
            fail(ExitCode::bad_file, "{}: the special token {} is outside the vocabulary of {}", name_, id,
                 vocab_size());
    }
}

std::string JsonTokenizer::decode(std::span<const std::int32_t> ids) const {
    std::vector<std::string> tokens;
    for (const std::int32_t id : ids) {
        if (id < 0 || id >= vocab_size())
            fail(ExitCode::usage, "{}: token id {} is outside the vocabulary of {}", name_, id, vocab_size());
        if (!special_[std::size_t(id)]) tokens.push_back(token_for_decoder(id));
    }
    return decode_tokens(decoder_, std::move(tokens));
}

std::string JsonTokenizer::piece(std::int64_t id) const {
    require(id >= 0 && id < vocab_size(), "{}: piece {} of {}", name_, id, vocab_size());
    return pieces_[std::size_t(id)];
}

std::string JsonTokenizer::piece_text(std::int64_t id) const {
    require(id >= 0 && id < vocab_size(), "{}: piece {} of {}", name_, id, vocab_size());
    if (special_[std::size_t(id)] || id == unk_) return "";
    return decode_token(decoder_, token_for_decoder(std::int32_t(id)));
}

}  // namespace gpas
