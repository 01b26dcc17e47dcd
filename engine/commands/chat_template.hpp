// Turns the messages of a conversation into the text that a chat model was trained on.
#pragma once

#include "io/data/tokenizer.hpp"

#include <string>
#include <vector>

namespace gpas {

struct ChatMessage {
    std::string role;  // "system", "user" or "assistant"
    std::string content;
};

using Conversation = std::vector<ChatMessage>;

// The chat template next to a tokenizer file, as transformers finds it: chat_template.jinja, or else chat_template of
// tokenizer_config.json. A template is a program in Jinja; python3 with the package jinja2 runs it, in the sandbox that
// transformers uses.
class ChatTemplate {
public:
    // tokenizer: of the file `tokenizer_file`. Error(usage) if the directory has no template, or if the tokenizer does
    // not find special tokens in text: the text of a template contains them.
    ChatTemplate(const std::string& tokenizer_file, const Tokenizer& tokenizer);

    // Per conversation, the text of its messages and of the beginning of the assistant's next message.
    // Error(environment) if python3 or jinja2 is missing; Error(usage) with the template's message if the template
    // refuses a conversation.
    std::vector<std::string> texts_of(const std::vector<Conversation>& conversations) const;

private:
    std::string source_, file_, bos_, eos_;
};

}  // namespace gpas
