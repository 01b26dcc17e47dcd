#include "io/tokenizer/text_encoder.hpp"

#include "io/data/utf8.hpp"

#include <utility>

namespace gpas {
namespace {

// The tokens that are sought before the normalizers, or those sought after them, which are then normalized themselves.
std::vector<AddedToken> tokens_of(const EncoderParts& parts, bool normalized) {
    std::vector<AddedToken> tokens;
    RegexScratch scratch;
    for (AddedToken token : parts.added_tokens) {
        if (token.normalized != normalized) continue;
        if (normalized) normalize(parts.normalizer, token.text, scratch);
        if (!token.text.empty()) tokens.push_back(std::move(token));
    }
    return tokens;
}

}  // namespace

struct TextEncoder::Scratch {
    std::string normalized;
    PreTokenizerScratch pre_tokenizer;
    BpeScratch bpe;
    WordCache cache;
};

// The scratch memory of one call of encode(), returned at its end.
class TextEncoder::Lease {
public:
    explicit Lease(const TextEncoder& encoder) : encoder_(encoder) {
        {
            const std::lock_guard lock(encoder_.mutex_);
            if (!encoder_.free_.empty()) {
                scratch_ = std::move(encoder_.free_.back());
                encoder_.free_.pop_back();
            }
        }
        if (scratch_ == nullptr) scratch_ = std::make_unique<Scratch>();
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        const std::lock_guard lock(encoder_.mutex_);
        encoder_.free_.push_back(std::move(scratch_));
    }
    Scratch& scratch() { return *scratch_; }

private:
    const TextEncoder& encoder_;
    std::unique_ptr<Scratch> scratch_;
};

TextEncoder::TextEncoder(EncoderParts parts)
    : normalizer_(parts.normalizer),
      pre_tokenizer_(parts.pre_tokenizer),
      model_(std::move(parts.model)),
      before_(tokens_of(parts, false)),
      after_(tokens_of(parts, true)) {}

TextEncoder::~TextEncoder() = default;

void TextEncoder::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
    std::string repaired;
    text = well_formed(text, repaired);
    Lease lease(*this);
    before_.for_each_section(text, [&](TextSpan span, std::int32_t id) {
        if (id >= 0) {
            ids.push_back(id);
        } else {
            encode_section(text.substr(span.begin, span.end - span.begin), span.begin == 0, ids, lease.scratch());
        }
    });
}

void TextEncoder::encode_section(std::string_view text, bool first, std::vector<std::int32_t>& ids,
                                 Scratch& scratch) const {
    if (!normalizer_.empty()) {
        scratch.normalized = text;
        normalize(normalizer_, scratch.normalized, scratch.pre_tokenizer.regex);
        text = scratch.normalized;
    }
    after_.for_each_section(text, [&](TextSpan span, std::int32_t id) {
        if (id >= 0) {
            ids.push_back(id);
        } else {
            encode_words(text.substr(span.begin, span.end - span.begin), first && span.begin == 0, ids, scratch);
        }
    });
}

void TextEncoder::encode_words(std::string_view text, bool first, std::vector<std::int32_t>& ids,
                               Scratch& scratch) const {
    const std::string_view words = split_words(pre_tokenizer_, text, first, scratch.pre_tokenizer);
    for (const TextSpan& span : scratch.pre_tokenizer.pieces)
        encode_word(words.substr(span.begin, span.end - span.begin), ids, scratch);
}

void TextEncoder::encode_word(std::string_view word, std::vector<std::int32_t>& ids, Scratch& scratch) const {
    if (!WordCache::fits(word)) return model_.encode(word, ids, scratch.bpe);
    WordCache::Slot& slot = scratch.cache.slot(word);
    if (WordCache::holds(slot, word)) {
        ids.insert(ids.end(), slot.ids, slot.ids + slot.count);
        return;
    }
    const std::size_t before = ids.size();
    model_.encode(word, ids, scratch.bpe);
    WordCache::store(slot, word, std::span(ids).subspan(before));
}

}  // namespace gpas
