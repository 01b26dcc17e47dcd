// Whether a tokenizer keeps every character of a text.
#pragma once

#include "io/data/tokenizer.hpp"

namespace gpas {

// Whether decode(encode(text)) == text for texts with everything that tokenizers change: white space of all kinds,
// composed and decomposed letters, wide forms, control characters, emoji, and all bytes of UTF-8.
bool keeps_test_texts(const Tokenizer& tokenizer);

}  // namespace gpas
