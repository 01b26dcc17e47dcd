// How the layers are divided among the stages of the pipeline. Pure functions.
#pragma once

#include "engine/model/parameters.hpp"

#include <cstdint>
#include <vector>

namespace gpas {

// Floating-point operations per token in the forward pass of one layer, and of the LM head. Stages are balanced by
// these.
double layer_forward_flops(const ModelConfig& model, std::int64_t sequence);
double head_forward_flops(const ModelConfig& model);

// The layers of each of `stages` model stages, in order. given: the number of layers of each stage (their sum is the
// model's number of layers); empty: balanced by cost, the last stage's LM head included.
std::vector<Range> stage_layers(const ModelConfig& model, std::int64_t sequence, std::int64_t stages,
                                const std::vector<std::int64_t>& given);

// The parts of pipeline stage `stage` of `pipeline`, one per chunk (virtual pipeline stage, as in Megatron's
// interleaved schedule): chunk c is model stage c · pipeline + stage, whose layers are layers[c · pipeline + stage].
std::vector<ModelPart> parts_of_stage(const std::vector<Range>& layers, std::int64_t stage, std::int64_t pipeline);

}  // namespace gpas
