// Which special tokens the training data have. Internal to engine/convert.
#pragma once

#include "io/data/tokenizer.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <string>

namespace gpas {

// Whether every one of up to 1000 documents, spread evenly over the token files, begins with this id.
bool documents_begin_with(const std::string& prefix, std::int64_t id);

// bos and eos of the tokenizer, each only if documents begin or end with it. Without token files (an empty prefix): eos
// of the tokenizer, since `gpas prepare` ends documents with it and begins none with bos.
TokenIds trained_token_ids(const Tokenizer& tokenizer, const std::string& prefix);

}  // namespace gpas
