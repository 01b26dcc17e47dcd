// Reads the weights of a Hugging Face model directory as gpas parameters. Internal to engine/convert.
#pragma once

#include "engine/convert/tensors.hpp"
#include "io/hugging_face/safetensors.hpp"

#include <filesystem>
#include <map>
#include <memory>

namespace gpas {

class HuggingFaceWeights {
public:
    // Opens model.safetensors, or the files of model.safetensors.index.json. Error(bad_file) if a tensor is missing,
    // has another shape than `model` needs, or belongs to no parameter of it; or if the weights are pickled.
    HuggingFaceWeights(const std::filesystem::path& directory, const ModelConfig& model);

    Weights weights() const;  // calls read(); must not outlive this object
    // All values of a parameter, row-major. Error(bad_file) for NaN and Inf, naming the element.
    std::vector<float> read(const std::string& parameter) const;

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
