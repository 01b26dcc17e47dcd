// Recognises tokenizer files of other formats, which users often pass instead of a SentencePiece model.
#pragma once

#include <string>
#include <string_view>

namespace gpas {

// Describes the file, to complete "FILE: is ": "a tokenizer.json of Hugging Face; gpas reads ...". Empty if the bytes
// may be a SentencePiece model.
std::string foreign_tokenizer(std::string_view bytes);

}  // namespace gpas
