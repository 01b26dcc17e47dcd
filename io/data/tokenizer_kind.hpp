// Recognises files that are often given as a tokenizer and are no SentencePiece model.
#pragma once

#include <string>
#include <string_view>

namespace gpas {

// "a tokenizer.json of Hugging Face; gpas reads ...": completes "FILE: is ". Empty for what may be a SentencePiece
// model.
std::string foreign_tokenizer(std::string_view bytes);

}  // namespace gpas
