#include "engine/run/choice_requests.hpp"

#include "base/error.hpp"
#include "engine/convert/trained_tokens.hpp"
#include "io/tokenizer/components.hpp"

#include <algorithm>

namespace gpas {
namespace {

// The token that a tokenizer.json puts before every text; -1: no token.
std::int32_t bos_of_post_processor(const Tokenizer& tokenizer) {
    const nlohmann::json root = parse_tokenizer_json(tokenizer.model_bytes(), "tokenizer.json");
    const JsonNode file(root, "tokenizer.json");
    TextEnds ends;
    if (const auto node = file.find("post_processor")) read_post_processor(*node, ends);
    return ends.bos;
}

// Encodes the questions of one task.
class ChoiceEncoder {
public:
    ChoiceEncoder(const ChoiceTask& task, const Tokenizer& tokenizer, const ChoiceTokens& tokens, std::int64_t window)
        : task_(task), tokenizer_(tokenizer), tokens_(tokens), window_(window) {
        if (tokens.bos >= 0) bos_text_ = tokenizer.piece(tokens.bos);
    }

    void encode(const ChoiceQuestion& question, std::vector<ChoiceRequest>& requests) const {
        const std::size_t space = trailing_space_bytes(question.context);
        const std::string context = question.context.substr(0, question.context.size() - space);
        const std::string between = question.context.substr(context.size()) + question.delimiter;
        const std::vector<std::int32_t> alone = ids_of(context);
        for (std::size_t i = 0; i < question.choices.size(); ++i) {
            const std::string continuation = between + question.choices[i];
            ChoiceRequest request = context.empty()
                                        ? without_context(question, continuation)
                                        : ChoiceRequest{ids_of(context + continuation), std::int64_t(alone.size())};
            check(request, question, i);
            const std::int64_t over = std::int64_t(request.tokens.size()) - (window_ + 1);
            if (over > 0) {
                request.tokens.erase(request.tokens.begin(), request.tokens.begin() + over);
                request.scored -= over;
            }
            requests.push_back(std::move(request));
        }
    }

private:
    // With BOS, unless the text itself begins with the text of BOS.
    std::vector<std::int32_t> ids_of(const std::string& text) const {
        std::vector<std::int32_t> ids;
        if (tokens_.bos >= 0 && (bos_text_.empty() || !text.starts_with(bos_text_))) ids.push_back(tokens_.bos);
        tokenizer_.encode(text, ids);
        return ids;
    }
    ChoiceRequest without_context(const ChoiceQuestion& question, const std::string& continuation) const {
        if (tokens_.prefix < 0)
            fail(ExitCode::bad_file,
                 "{}:{}: context: found an empty string, and the tokenizer has neither BOS nor EOS to put in its "
                 "place, expected text",
                 task_.file, question.line);
        ChoiceRequest request{tokenizer_.encode(continuation), 1};
        if (request.tokens.empty() || request.tokens.front() != tokens_.prefix)
            request.tokens.insert(request.tokens.begin(), tokens_.prefix);
        return request;
    }
    void check(const ChoiceRequest& request, const ChoiceQuestion& question, std::size_t choice) const {
        const std::int64_t count = std::int64_t(request.tokens.size()) - request.scored;
        if (count <= 0)
            fail(ExitCode::bad_file,
                 "{}:{}: choices[{}]: found a text that adds no token to the context's {}, expected at least one",
                 task_.file, question.line, choice, request.scored);
        if (count > window_)
            fail(ExitCode::bad_file, "{}:{}: choices[{}]: found {} tokens, expected at most data.sequence_length = {}",
                 task_.file, question.line, choice, count, window_);
    }

    const ChoiceTask& task_;
    const Tokenizer& tokenizer_;
    const ChoiceTokens& tokens_;
    std::int64_t window_;
    std::string bos_text_;
};

}  // namespace

ChoiceTokens choice_tokens(const Tokenizer& tokenizer, const std::optional<TokenIds>& imported,
                           const std::string& training_tokens) {
    const TokenIds ids = imported ? *imported : trained_token_ids(tokenizer, training_tokens);
    // An exported SentencePiece model names BOS only if training uses it.
    const bool names_all = tokenizer.kind() != TokenizerKind::sentencepiece;
    const auto bos = std::int32_t(ids.bos >= 0 || !names_all ? ids.bos : tokenizer.bos_id());
    const auto eos = std::int32_t(!ids.eos.empty() ? ids.eos.front() : tokenizer.eos_id());
    ChoiceTokens tokens{.prefix = bos >= 0 ? bos : eos};
    if (tokenizer.kind() == TokenizerKind::hugging_face)
        tokens.bos = bos_of_post_processor(tokenizer);
    else if (ids.add_bos)
        tokens.bos = bos;
    if (std::max(tokens.prefix, tokens.bos) >= tokenizer.vocab_size())
        fail(ExitCode::usage, "the model's BOS or EOS, {}, is not a token of data.tokenizer, which has {} tokens",
             std::max(tokens.prefix, tokens.bos), tokenizer.vocab_size());
    return tokens;
}

std::vector<ChoiceRequest> choice_requests(const ChoiceTask& task, const Tokenizer& tokenizer,
                                           const ChoiceTokens& tokens, std::int64_t window) {
    const ChoiceEncoder encoder(task, tokenizer, tokens, window);
    std::vector<ChoiceRequest> requests;
    for (const ChoiceQuestion& question : task.questions) encoder.encode(question, requests);
    return requests;
}

}  // namespace gpas
