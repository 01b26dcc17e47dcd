// config.json of Hugging Face's transformers, for LLaMA models and for the further rows of the architecture table.
#pragma once

#include "io/config/run_config.hpp"
#include "io/hugging_face/safetensors.hpp"

#include <filesystem>
#include <string>

namespace gpas {

// What a config.json says besides the model.
struct HuggingFaceConfig {
    ModelConfig model;
    std::int64_t max_length = 2048;   // max_position_embeddings
    std::int64_t bos = -1, eos = -1;  // ids; -1: none
};

// Whether transformers' LlamaForCausalLM computes this model: Pre-LN, without gates or constant factors.
bool is_plain_llama(const ModelConfig& model);

// The text of config.json. A plain LLaMA is one for everybody ("LlamaForCausalLM"). Any other row gets the model type
// "gpas_llama", which transformers refuses to load instead of leaving the gates out, and an object "gpas" with the
// rest.
std::string hugging_face_config_text(const HuggingFaceConfig& config, StoredDtype dtype);
std::string generation_config_text(const HuggingFaceConfig& config);

// architecture: what the file does not say where it comes from the paper's code ("pre_gpas"); empty: as it says.
// Error(bad_file): file, key, found, expected, for all that this engine does not compute.
HuggingFaceConfig read_hugging_face_config(const std::filesystem::path& file, const std::string& architecture);

// The keys of the configuration that describe the model, as overrides: "model.hidden_size=512", …
std::vector<std::string> model_overrides(const ModelConfig& model);

}  // namespace gpas
