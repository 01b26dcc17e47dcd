// Recognises the kind of a tokenizer file by its content, and other files that users pass instead of a tokenizer.
#pragma once

#include "io/data/tokenizer.hpp"

#include <string>
#include <string_view>

namespace gpas {

// The kind of a file with these bytes. Binary data of no known kind count as a SentencePiece model. The content is not
// checked further: it may be damaged. `name`: for messages. Error(bad_file), one line, if the file is not a tokenizer:
// "NAME: is an HTML page: download the file again".
TokenizerKind recognise_tokenizer(std::string_view bytes, const std::string& name);

}  // namespace gpas
