// Reads and writes config.json of Hugging Face's transformers: for the classes of model_class.hpp, and for the models
// of gpas that no class computes.
#pragma once

#include "io/config/run_config.hpp"
#include "io/hugging_face/safetensors.hpp"
#include "io/hugging_face/token_ids.hpp"

#include <filesystem>
#include <string>

namespace gpas {

// The contents of a config.json.
struct HuggingFaceConfig {
    ModelConfig model;
    std::int64_t max_length = 2048;  // max_position_embeddings
    TokenIds ids;                    // only for writing; read_token_ids reads them
    std::vector<std::string> notes;  // lines for the user about values that were derived from other values
};

// The text of config.json. A model that a class of transformers computes gets that class (class_of). Any other model
// gets the model type "gpas_llama" and an object "gpas" with the additional values. transformers refuses to load this
// type; otherwise it would silently leave out gates, norms or biases.
std::string hugging_face_config_text(const HuggingFaceConfig& config, StoredDtype dtype);
std::string generation_config_text(const HuggingFaceConfig& config);  // the text of generation_config.json

// Reads a config.json. The config.json of the paper's code contains neither the architecture nor the number of Post-LN
// layers. For such a file, pass `architecture` ("pre_gpas") and `post_layers` (only for post_pre and post_pre_gpas; -1:
// a quarter of the layers). For any other file, pass "" and -1. Error(bad_file) (file, key, found, expected) for every
// value that gpas does not compute.
HuggingFaceConfig read_hugging_face_config(const std::filesystem::path& file, const std::string& architecture,
                                           std::int64_t post_layers = -1);

// The reason why transformers refuses a model of one of its classes with this shape, in one line; empty if it accepts the shape.
std::string shape_that_transformers_refuses(const ModelConfig& model);

// The model's configuration keys as overrides for load_config: "model.hidden_size=512", …
std::vector<std::string> model_overrides(const ModelConfig& model);

}  // namespace gpas
