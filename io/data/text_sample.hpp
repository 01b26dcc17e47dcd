// The text on which `gpas prepare` trains a tokenizer.
#pragma once

#include "io/data/text_input.hpp"
#include "io/data/text_reader.hpp"

#include <cstdint>
#include <string>

namespace gpas {

struct TextSampleOptions {
    std::string json_key;         // jsonl: keys of the strings that are the text
    bool skip_bad_lines = false;  // jsonl: skip lines that are not an object with such a string
    std::int64_t sample_bytes = 0;
    std::int64_t unit_bytes = 0;  // text that is read at a time
};

// Reads every n-th unit of the inputs, so that about sample_bytes of text come from all parts of them. `inputs` must
// remain live while the sample is in use.
class TextSample {
public:
    TextSample(const TextInputs& inputs, TextSampleOptions options);
    // Sets `text` to the next document (or part of one). False at the end of the sample. Error(bad_file) for a bad line
    // that is not skipped: the command then fails before the tokenizer is trained, not after it.
    bool next(std::string& text);

private:
    TextSampleOptions options_;
    DocumentMode documents_;
    TextReader reader_;
    std::int64_t stride_;
    TextUnit unit_;
    std::size_t record_ = 0;
    std::int64_t units_ = 0, used_bytes_ = 0;
};

}  // namespace gpas
