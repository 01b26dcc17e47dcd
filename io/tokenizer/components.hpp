// Reads the components of a tokenizer.json. Each function refuses a component that gpas does not implement by its name:
// Error(bad_file), one line.
#pragma once

#include "io/tokenizer/json_node.hpp"
#include "io/tokenizer/normalizer.hpp"
#include "io/tokenizer/pre_tokenizer.hpp"
#include "io/tokenizer/token_decoder.hpp"

#include <cstdint>
#include <vector>

namespace gpas {

// Append the steps of a component; a Sequence appends the steps of its components.
void read_normalizer(const JsonNode& node, std::vector<NormalizerStep>& steps);
void read_pre_tokenizer(const JsonNode& node, std::vector<PreTokenizerStep>& steps);
void read_decoder(const JsonNode& node, std::vector<DecoderStep>& steps);

// The special tokens that a post-processor puts before and after a text; -1: none.
struct TextEnds {
    std::int32_t bos = -1;
    std::int32_t eos = -1;
};
void read_post_processor(const JsonNode& node, TextEnds& ends);

// For the Replace of normalizers and decoders: {"pattern": {"String" or "Regex": ...}, "content": ...}
ReplaceText read_replace(const JsonNode& node);
// The components of a Sequence, under `key`. read(component) for each. Error if Sequences nest too deeply.
template <class Read>
void read_sequence(const JsonNode& node, const char* key, const Read& read) {
    constexpr std::size_t longest_place = 1000;  // the place grows with the depth
    const JsonNode list = node.at(key);
    if (list.place().size() > longest_place) list.refuse("fewer Sequences inside each other");
    for (std::size_t i = 0; i < list.size(); ++i) read(list.element(i));
}
// PLACE: TYPE is not supported; KNOWN lists the types that are.
[[noreturn]] void refuse_component(const JsonNode& node, const char* known);

}  // namespace gpas
