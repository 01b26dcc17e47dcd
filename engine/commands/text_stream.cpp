#include "engine/commands/text_stream.hpp"

#include <algorithm>
#include <span>

namespace gpas {
namespace {

constexpr std::size_t tokens_of_context = 6;  // decoders drop or add a space at the beginning of a text

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt)
    : tokenizer_(tokenizer),
      tokens_(std::move(prompt)),
      context_(tokens_.size() - std::min(tokens_.size(), tokens_of_context)),
      returned_(tokens_.size()) {}

std::string TextStream::add(std::int32_t token) {
    tokens_.push_back(token);
    return take(false);
}

std::string TextStream::rest() { return take(true); }

std::string TextStream::take(bool incomplete) {
    const std::span<const std::int32_t> recent = std::span(tokens_).subspan(context_);
    const std::string before = tokenizer_.decode(recent.first(returned_ - context_));
    const std::string after = tokenizer_.decode(recent);
    if (after.size() <= before.size() || (after.ends_with("\uFFFD") && !incomplete)) return {};
    context_ = returned_;
    returned_ = tokens_.size();
    return after.substr(before.size());
}

}  // namespace gpas
