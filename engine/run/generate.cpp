#include "engine/run/generate.hpp"

#include "base/error.hpp"
#include "kernels/philox.hpp"

#include <algorithm>

namespace gpas {
namespace {

double uniform(std::uint64_t seed, std::size_t text, std::size_t token) {
    const Philox4 words =
        philox({std::uint32_t(token), std::uint32_t(std::uint64_t(token) >> 32), std::uint32_t(text), 0},
               std::uint32_t(seed), std::uint32_t(seed >> 32));
    return double(words[0]) / 4294967296.0;
}

// One prompt with the tokens that follow it.
struct Text {
    std::vector<std::int32_t> tokens;
    std::size_t prompt = 0;  // its number of tokens
    bool ended = false;
    std::size_t written() const { return tokens.size() - prompt; }
};

class Generation {
public:
    Generation(NextLogits& next, const std::vector<Prompt>& prompts, const GenerationOptions& options)
        : next_(next), options_(options) {
        require(std::int64_t(prompts.size()) == next.batch(), "generate: {} prompts, room for {}", prompts.size(),
                next.batch());
        for (const Prompt& prompt : prompts) {
            require(!prompt.empty(), "generate: an empty prompt");
            texts_.push_back({prompt, prompt.size(), options.count == 0});
            length_ = texts_.size() == 1 ? prompt.size() : std::min(length_, prompt.size());
        }
    }

    std::vector<std::vector<std::int32_t>> run() {
        for (; !all_ended(); ++length_) append(chosen(logits()));
        std::vector<std::vector<std::int32_t>> written;
        for (const Text& text : texts_)
            written.emplace_back(text.tokens.begin() + std::ptrdiff_t(text.prompt), text.tokens.end());
        return written;
    }

private:
    bool all_ended() const { return std::ranges::all_of(texts_, &Text::ended); }

    // Positions [begin, length_) of all texts in sequence-first order. A text that has ended is padded with token 0.
    std::vector<std::int32_t> rows(std::size_t begin) const {
        std::vector<std::int32_t> tokens;
        for (std::size_t t = begin; t < length_; ++t)
            for (const Text& text : texts_) tokens.push_back(t < text.tokens.size() ? text.tokens[t] : 0);
        return tokens;
    }

    // Of the tokens after position length_ - 1, on the last stage.
    std::span<const float> logits() {
        const std::size_t window = std::size_t(next_.window());
        if (length_ > window) return next_.after(rows(length_ - window), 0);
        const std::size_t position = std::exchange(cached_, length_);
        return next_.after(rows(position), std::int64_t(position));
    }

    bool chooses(const Text& text) const { return !text.ended && text.tokens.size() == length_; }

    // A token per text. One rank chooses, so that no two ranks can disagree.
    std::vector<std::int32_t> chosen(std::span<const float> logits) {
        Mesh& mesh = next_.mesh();
        const std::int64_t vocabulary = next_.vocabulary();
        const std::int64_t choices =
            options_.sampling.vocab_size > 0 ? std::min(options_.sampling.vocab_size, vocabulary) : vocabulary;
        std::vector<std::int32_t> tokens(texts_.size(), 0);
        for (std::size_t i = 0; i < texts_.size() && !logits.empty(); ++i)
            if (chooses(texts_[i]))
                tokens[i] =
                    sample_token(logits.subspan(i * std::size_t(vocabulary), std::size_t(choices)), options_.sampling,
                                 uniform(options_.sampling.seed, options_.first + i, texts_[i].written()));
        // The first tensor-parallel rank of the last stage, in any order of the mesh with one data-parallel rank.
        const int chooser = mesh.size.tensor * (mesh.size.pipeline - 1);
        if (mesh.world->size() > 1)
            mesh.world->broadcast(tokens.data(), std::int64_t(tokens.size() * sizeof(tokens[0])), chooser, "tokens");
        return tokens;
    }

    void append(const std::vector<std::int32_t>& tokens) {
        for (std::size_t i = 0; i < texts_.size(); ++i) {
            Text& text = texts_[i];
            if (!chooses(text)) continue;
            if (std::ranges::count(options_.ends, tokens[i]) > 0) {
                text.ended = true;
                continue;
            }
            text.tokens.push_back(tokens[i]);
            text.ended = std::int64_t(text.written()) >= options_.count;
            if (options_.on_token) options_.on_token(i, tokens[i]);
        }
    }

    NextLogits& next_;
    const GenerationOptions& options_;
    std::vector<Text> texts_;
    std::size_t length_ = 0;  // positions that every text has, padding included
    std::size_t cached_ = 0;  // positions whose keys and values are kept
};

}  // namespace

std::vector<std::vector<std::int32_t>> generate(NextLogits& next, const std::vector<Prompt>& prompts,
                                                const GenerationOptions& options) {
    return Generation(next, prompts, options).run();
}

}  // namespace gpas
