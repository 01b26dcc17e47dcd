// Converts SentencePiece's normalisation rules to the steps of a normalizer in tokenizer.json. Internal to
// io/hugging_face.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace gpas {

// A step that replaces each match of `pattern` with `content`. kind: "String" or "Regex" (Oniguruma).
nlohmann::ordered_json replacement_step(const char* kind, const std::string& pattern, const std::string& content);

// The array of steps that normalise as a SentencePiece model does. charsmap: the model's compiled rules; rules: their
// name ("nmt_nfkc").
nlohmann::ordered_json normalization_steps(std::string_view charsmap, const std::string& rules);

}  // namespace gpas
