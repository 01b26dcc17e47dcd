// How the layers are dealt to the stages of the pipeline.
#pragma once

#include "engine/model/parameters.hpp"

#include <cstdint>
#include <vector>

namespace gpas {

// Floating-point operations a token of the forward pass, of one layer and of the LM head: what stages are balanced by.
double layer_forward_flops(const ModelConfig& model, std::int64_t sequence);
double head_forward_flops(const ModelConfig& model);

// The layers of each of `stages` model stages, in order. `given`: how many each has (they add up to all layers); empty:
// balanced by cost, the last stage's LM head counted.
std::vector<Range> stage_layers(const ModelConfig& model, std::int64_t sequence, std::int64_t stages,
                                const std::vector<std::int64_t>& given);

// What stage `stage` of `pipeline` computes, a part for each of `chunks`: chunk c is model stage c · pipeline + stage.
std::vector<ModelPart> parts_of_stage(const std::vector<Range>& layers, std::int64_t stage, std::int64_t pipeline);

}  // namespace gpas
