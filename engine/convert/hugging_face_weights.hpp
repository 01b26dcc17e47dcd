// The weights of a directory of Hugging Face's, as the engine's parameters. Internal to engine/convert.
#pragma once

#include "engine/convert/tensors.hpp"
#include "io/hugging_face/safetensors.hpp"

#include <filesystem>
#include <map>
#include <memory>

namespace gpas {

class HuggingFaceWeights {
public:
    // model.safetensors, or the files of model.safetensors.index.json. Error(bad_file): what is missing, has another
    // shape, or belongs to no parameter of the model; weights that are pickled.
    HuggingFaceWeights(const std::filesystem::path& directory, const ModelConfig& model);

    Weights weights() const;                                      // refers to this object
    std::vector<float> read(const std::string& parameter) const;  // Error(bad_file) for NaN and Inf, naming the element

private:
    struct Place {
        const SafetensorsFile* file = nullptr;
        const SafetensorsEntry* entry = nullptr;
    };
    void open(const std::filesystem::path& directory);
    void check(const ModelConfig& model);

    std::filesystem::path directory_;
    std::vector<std::unique_ptr<SafetensorsFile>> files_;
    std::map<std::string, Place> places_;
    std::map<std::string, std::vector<HuggingFaceTensor>> tensors_;  // by parameter
};

}  // namespace gpas
