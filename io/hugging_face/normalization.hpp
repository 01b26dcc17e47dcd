// SentencePiece's normalisation rules as steps of a normalizer in tokenizer.json. Internal to io/hugging_face.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace gpas {

// Replaces each match of a pattern; kind: "String" or "Regex" (Oniguruma).
nlohmann::ordered_json replacement_step(const char* kind, const std::string& pattern, const std::string& content);

// charsmap: the compiled rules of a SentencePiece model; rules: their name ("nmt_nfkc"). Returns an array of steps.
nlohmann::ordered_json normalization_steps(std::string_view charsmap, const std::string& rules);

}  // namespace gpas
