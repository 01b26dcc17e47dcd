// config.json of Hugging Face's transformers, for LLaMA models and for the further rows of the architecture table.
#pragma once

#include "io/config/run_config.hpp"
#include "io/hugging_face/safetensors.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <filesystem>
#include <string>

namespace gpas {

// What a config.json says besides the model.
struct HuggingFaceConfig {
    ModelConfig model;
    std::int64_t max_length = 2048;  // max_position_embeddings
    TokenIds ids;                    // written only; read_token_ids reads them
    std::vector<std::string> notes;  // lines for people: values that follow from others
};

// Whether transformers' LlamaForCausalLM computes this model: Pre-LN, without gates or constant factors.
bool is_plain_llama(const ModelConfig& model);

// The text of config.json. A plain LLaMA is one for everybody ("LlamaForCausalLM"). Any other row gets the model type
// "gpas_llama", which transformers refuses to load instead of leaving the gates out, and an object "gpas" with the
// rest.
std::string hugging_face_config_text(const HuggingFaceConfig& config, StoredDtype dtype);
std::string generation_config_text(const HuggingFaceConfig& config);

// architecture ("pre_gpas") and post_layers (of post_pre and post_pre_gpas; -1: a quarter): for a model of the paper's
// code, whose config.json has neither; empty and -1: as the file says. Error(bad_file): file, key, found, expected, for
// everything that this engine does not compute.
HuggingFaceConfig read_hugging_face_config(const std::filesystem::path& file, const std::string& architecture,
                                           std::int64_t post_layers = -1);

// What transformers refuses about a plain LLaMA of this shape, in one line; empty: nothing.
std::string shape_that_transformers_refuses(const ModelConfig& model);

// The keys of the configuration that describe the model, as overrides: "model.hidden_size=512", …
std::vector<std::string> model_overrides(const ModelConfig& model);

}  // namespace gpas
