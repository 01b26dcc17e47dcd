#include "io/hugging_face/model_class.hpp"

#include "io/config/architecture.hpp"

#include <algorithm>

namespace gpas {
namespace {

constexpr ModelClass known_classes[] = {
    {.model_type = "llama", .name = "LlamaForCausalLM", .has_attention_bias = true, .has_mlp_bias = true},
    {.model_type = "mistral",
     .name = "MistralForCausalLM",
     .window = WindowKeys::sliding_window_4096,
     .needs_kv_heads = true},
    {.model_type = "qwen2",
     .name = "Qwen2ForCausalLM",
     .has_qkv_bias = true,
     .window = WindowKeys::use_sliding_window,
     .needs_kv_heads = true},
    {.model_type = "qwen3",
     .name = "Qwen3ForCausalLM",
     .qk_norm = QkNormKind::head,
     .has_attention_bias = true,
     .window = WindowKeys::use_sliding_window,
     .needs_kv_heads = true,
     .needs_head_dim = true},
    {.model_type = "olmo2",
     .name = "Olmo2ForCausalLM",
     .architecture = Architecture::reordered,
     .qk_norm = QkNormKind::projection,
     .has_attention_bias = true,
     .norm_eps = 1e-5},
};

bool computes(const ModelClass& a_class, const ModelConfig& model) {
    const bool pre = is_pre_norm_only(model.architecture) && !has_gates(model.architecture) &&
                     (!scales_norms(model.architecture) || model.lns == LnsMode::init);
    const bool row = a_class.architecture == Architecture::pre ? pre : a_class.architecture == model.architecture;
    const bool attention_bias = a_class.has_attention_bias && model.qkv_bias && model.output_bias;
    const bool window = model.sliding_window == 0 || a_class.window != WindowKeys::none;
    return row && window && a_class.qk_norm == model.qk_norm &&
           model.qkv_bias == (a_class.has_qkv_bias || attention_bias) && model.output_bias == attention_bias &&
           (a_class.has_mlp_bias || !model.mlp_bias);
}

}  // namespace

std::span<const ModelClass> model_classes() { return known_classes; }

const ModelClass* class_of(const ModelConfig& model) {
    const auto found =
        std::ranges::find_if(known_classes, [&](const ModelClass& each) { return computes(each, model); });
    return found == std::end(known_classes) ? nullptr : &*found;
}

}  // namespace gpas
