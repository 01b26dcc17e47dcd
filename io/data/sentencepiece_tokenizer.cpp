#include "io/data/sentencepiece_tokenizer.hpp"

#include "base/error.hpp"
#include "io/data/utf8.hpp"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace gpas {
namespace {

constexpr std::string_view space_mark = "\xe2\x96\x81";  // U+2581, which SentencePiece uses for a space

std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

// Test texts with everything that normalisation rules change: white space of all kinds, composed and decomposed
// letters, wide forms, control characters, emoji. U+2581 is missing because encode_piecewise treats it separately.
constexpr std::array<std::string_view, 8> probes{"The cat.",
                                                 " a  b ",
                                                 "\n\n x\n",
                                                 "\ta\r\n",
                                                 "e\xcc\x81 \xc3\xa9 \xef\xbc\xa1 \xef\xac\x81",
                                                 "\xc2\xa0\xe3\x80\x80 \xe2\x80\x8b",
                                                 "\x01\x7f \xf0\x9f\x99\x82\xe2\x81\x87",
                                                 "<s></s><unk><0x41>  "};

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(std::string model, std::string name)
    : name_(std::move(name)), model_(std::move(model)) {
    load();
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

void SentencePieceTokenizer::load() {
    processor_ = std::make_unique<sentencepiece::SentencePieceProcessor>();
    const auto status = processor_->LoadFromSerializedProto(model_);
    if (!status.ok()) {
        fail(ExitCode::bad_file,
             "{}: is not a SentencePiece model, or is damaged or cut off ({} bytes): copy or download it again", name_,
             model_.size());
    }
    if (processor_->GetPieceSize() <= 0) fail(ExitCode::bad_file, "{}: is a SentencePiece model without pieces", name_);
    for (int byte = 0; byte < 256; ++byte) {
        const int id = processor_->PieceToId(fmt::format("<0x{:02X}>", byte));
        if (!processor_->IsByte(id)) {
            byte_ids_.clear();
            break;
        }
        byte_ids_.push_back(id);
    }
    probe();
}

void SentencePieceTokenizer::probe() {
    encode_plain("\n", newline_);
    bool alone = newline_.size() == 1 && newline_.front() != unk_id();
    for (std::int64_t id = 0; alone && id < vocab_size(); ++id) {
        alone = id == newline_.front() || piece(id).find('\n') == std::string::npos;
    }
    bool exact = !byte_ids_.empty();
    for (const std::string_view text : probes) {
        std::vector<std::int32_t> whole, parts;
        encode_plain(text, whole);
        encode_piecewise(text, parts);
        alone = alone && whole == parts;
        exact = exact && decode(whole) == text;
    }
    cuts_at_newlines_ = alone;
    lossless_ = exact && alone;
}

void SentencePieceTokenizer::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
    std::string repaired;
    text = well_formed(text, repaired);
    cuts_at_newlines_ ? encode_piecewise(text, ids) : encode_plain(text, ids);
}

// Encodes the text line by line, which gives the same ids with less memory. Encodes U+2581 as its byte pieces, because
// SentencePiece would decode it as a space.
void SentencePieceTokenizer::encode_piecewise(std::string_view text, std::vector<std::int32_t>& ids) const {
    while (!text.empty()) {
        const std::size_t newline = text.find('\n');
        const std::size_t mark = byte_ids_.empty() ? std::string_view::npos : text.substr(0, newline).find(space_mark);
        const std::size_t end = std::min({newline, mark, text.size()});
        encode_plain(text.substr(0, end), ids);
        text.remove_prefix(end);
        if (end == mark) {
            for (const char byte : space_mark) ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
            text.remove_prefix(space_mark.size());
        } else if (end == newline) {
            ids.insert(ids.end(), newline_.begin(), newline_.end());
            text.remove_prefix(1);
        }
    }
}

void SentencePieceTokenizer::encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const {
    if (text.empty()) return;
    std::vector<int> encoded;
    const auto status = processor_->Encode(absl::string_view(text.data(), text.size()), &encoded);
    if (!status.ok()) fail(ExitCode::internal, "{}: encoding failed: {}", name_, one_line(status.ToString()));
    ids.insert(ids.end(), encoded.begin(), encoded.end());
}

std::string SentencePieceTokenizer::decode(std::span<const std::int32_t> ids) const {
    for (const std::int32_t id : ids) {
        if (id < 0 || id >= vocab_size()) {
            fail(ExitCode::usage, "{}: token id {} is outside the vocabulary of {}", name_, id, vocab_size());
        }
    }
    std::string text;
    const auto status = processor_->Decode(std::vector<int>(ids.begin(), ids.end()), &text);
    if (!status.ok()) fail(ExitCode::internal, "{}: decoding failed: {}", name_, one_line(status.ToString()));
    return text;
}

std::int64_t SentencePieceTokenizer::vocab_size() const { return processor_->GetPieceSize(); }

std::string SentencePieceTokenizer::piece(std::int64_t id) const {
    require(id >= 0 && id < vocab_size(), "{}: piece {} of {}", name_, id, vocab_size());
    return processor_->IdToPiece(int(id));
}

std::string SentencePieceTokenizer::piece_text(std::int64_t id) const {
    std::string text = piece(id);
    if (processor_->IsControl(int(id)) || processor_->IsUnknown(int(id))) return "";
    if (processor_->IsByte(int(id))) {  // <0x41>
        unsigned byte = 0;
        if (text.size() == 6) std::from_chars(text.data() + 3, text.data() + 5, byte, 16);
        return {char(byte)};
    }
    for (std::size_t at = 0; (at = text.find(space_mark, at)) != std::string::npos;)
        text.replace(at, space_mark.size(), " ");
    return text;
}

std::int32_t SentencePieceTokenizer::unk_id() const { return processor_->unk_id(); }
std::int32_t SentencePieceTokenizer::bos_id() const { return processor_->bos_id(); }
std::int32_t SentencePieceTokenizer::eos_id() const { return processor_->eos_id(); }
std::int32_t SentencePieceTokenizer::pad_id() const { return processor_->pad_id(); }

}  // namespace gpas
