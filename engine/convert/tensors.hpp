// Maps gpas parameters to the tensors of Hugging Face files, and back.
#pragma once

#include "engine/model/parameters.hpp"

#include <functional>
#include <string>
#include <vector>

namespace gpas {

// Returns all values of a gpas parameter, row-major.
using Weights = std::function<std::vector<float>(const std::string& parameter)>;

struct HuggingFaceTensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::string parameter;      // name of the gpas parameter with the tensor's values
    std::vector<Range> slices;  // of the parameter's row-major elements; concatenated, they are the tensor
    std::int64_t elements() const;
};

// The tensors in the order of the forward pass; together they hold every element of every parameter once. Names are
// those of transformers' LlamaForCausalLM. Tensors that it does not have are named as in the GPAS paper's code:
// layers.<l>.gpas_block.gate (a scalar without dimensions; in self_attn and mlp if each sub-layer has a gate),
// post_feedforward_layernorm, ….
std::vector<HuggingFaceTensor> hugging_face_tensors(const ModelConfig& model);

// taken: the tensor's values out of the parameter's. put: parameter's elements of the tensor = values.
std::vector<float> taken(const HuggingFaceTensor& tensor, const std::vector<float>& parameter);
void put(const HuggingFaceTensor& tensor, const std::vector<float>& values, std::vector<float>& parameter);

}  // namespace gpas
