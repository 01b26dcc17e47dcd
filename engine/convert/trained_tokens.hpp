// Finds the special tokens (bos, eos) that the training data use.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <string>

namespace gpas {

// True if all of up to 1000 documents, spread evenly over the token files, begin with this id.
bool documents_begin_with(const std::string& prefix, std::int64_t id);

// The tokenizer's bos if the documents begin with it, and the tokenizer's eos if the documents end with it. Without
// token files (an empty prefix): eos only, since `gpas prepare` appends eos to documents and does not prepend bos.
TokenIds trained_token_ids(const Tokenizer& tokenizer, const std::string& prefix);

}  // namespace gpas
