// The parameters of a model as Hugging Face's files name and cut them.
#pragma once

#include "engine/model/parameters.hpp"

#include <functional>
#include <string>
#include <vector>

namespace gpas {

// All values of a parameter of the engine, row-major.
using Weights = std::function<std::vector<float>(const std::string& parameter)>;

struct HuggingFaceTensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::string parameter;      // of the engine
    std::vector<Range> slices;  // of its row-major elements; joined, they are the tensor
    std::int64_t elements() const;
};

// In the order of the forward pass; together they hold every element of every parameter once. Names are those of
// transformers' LlamaForCausalLM, and of the GPAS paper's code for what that has not: layers.<l>.gpas_block.gate (one
// of no dimension; in self_attn and mlp where each sub-layer has its own), post_feedforward_layernorm, ….
std::vector<HuggingFaceTensor> hugging_face_tensors(const ModelConfig& model);

std::vector<float> taken(const HuggingFaceTensor& tensor, const std::vector<float>& parameter);
void put(const HuggingFaceTensor& tensor, const std::vector<float>& values, std::vector<float>& parameter);

}  // namespace gpas
