#include "io/data/text_loss.hpp"

#include <algorithm>

namespace gpas {

void TextLoss::add(const TextLoss& other) {
    unknown_tokens += other.unknown_tokens;
    characters += other.characters;
    lost_characters += other.lost_characters;
}

LossMeter::LossMeter(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    if (tokenizer.lossless()) return;
    for (std::int64_t id = 0; id < tokenizer.vocab_size(); ++id) piece_texts_.push_back(tokenizer.piece_text(id));
}

TextLoss LossMeter::measure(std::string_view text, std::span<const std::int32_t> ids, Counts& counts) const {
    TextLoss loss;
    loss.characters = std::count_if(text.begin(), text.end(), [](char c) { return (c & '\xc0') != '\x80'; });
    if (tokenizer_.lossless()) return loss;
    loss.unknown_tokens = std::count(ids.begin(), ids.end(), tokenizer_.unk_id());
    std::string tokens;  // joined first, because the bytes of a character may come from several tokens
    for (const std::int32_t id : ids) tokens += piece_texts_[std::size_t(id)];
    std::string_view decoded = tokens;
    if (decoded.starts_with(' ') && !text.starts_with(' ')) decoded.remove_prefix(1);  // SentencePiece's dummy prefix
    if (decoded == text) return loss;
    counts.add(text, 1);
    counts.add(decoded, -1);
    loss.lost_characters = counts.take_surplus();
    return loss;
}

void LossMeter::Counts::add(std::string_view text, std::int32_t sign) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i++]);
        std::uint32_t character = lead < 0x80 ? lead : lead < 0xe0 ? lead & 0x1f : lead < 0xf0 ? lead & 0x0f : lead & 7;
        for (; i < text.size() && (text[i] & '\xc0') == '\x80'; ++i) character = character << 6 | (text[i] & 0x3f);
        if (character >= common_.size()) {
            rare_[character] += sign;
            continue;
        }
        if (common_[character] == 0) touched_.push_back(character);
        common_[character] += sign;
    }
}

std::int64_t LossMeter::Counts::take_surplus() {
    std::int64_t surplus = 0;
    for (const std::uint32_t character : touched_) {
        surplus += std::max(common_[character], 0);
        common_[character] = 0;
    }
    for (const auto& [character, count] : rare_) surplus += std::max(count, 0);
    touched_.clear();
    rare_.clear();
    return surplus;
}

}  // namespace gpas
