// The texts whose log-likelihoods answer multiple-choice questions, as token ids, with the rules of
// lm-evaluation-harness (lm_eval 0.4, api/model.py and models/huggingface.py).
#pragma once

#include "io/data/choice_task.hpp"
#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

// The special tokens that texts of an evaluation get.
struct ChoiceTokens {
    std::int32_t prefix = -1;  // context of a question whose context is empty; -1: the tokenizer has no such token
    std::int32_t bos = -1;     // put before every other context; -1: no token
};

// The tokens that lm-evaluation-harness takes from the exported model. prefix: BOS, or EOS if the model has no BOS.
// bos: the token that the post-processor of a tokenizer.json puts before a text. For other kinds of tokenizers: BOS, if
// the imported model that training began with has add_bos_token, or without an imported model if the documents of
// training begin with BOS. imported: the ids of the imported model; nothing: training began otherwise.
// training_tokens: prefix of training's token files; empty: there are no files. Error(bad_file).
ChoiceTokens choice_tokens(const Tokenizer& tokenizer, const std::optional<TokenIds>& imported,
                           const std::string& training_tokens);

// The ids of a context and one choice.
struct ChoiceRequest {
    std::vector<std::int32_t> tokens;  // at most window + 1
    std::int64_t scored = 0;  // index in `tokens`, at least 1: the log-likelihood is that of tokens [scored, end)
};

// One request per choice, all questions in order. White space at the end of a context moves to the continuation
// (delimiter + choice). Context and continuation are encoded together; the first ids, as many as the context alone has,
// are the context. A text of more than window + 1 tokens loses its first tokens. window: data.sequence_length.
// Error(bad_file), "FILE:LINE: ...", if a continuation has no token of its own or more than `window` tokens, or if a
// context is empty and tokens.prefix is -1.
std::vector<ChoiceRequest> choice_requests(const ChoiceTask& task, const Tokenizer& tokenizer,
                                           const ChoiceTokens& tokens, std::int64_t window);

}  // namespace gpas
