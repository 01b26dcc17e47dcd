// The model classes of Hugging Face's transformers that gpas imports and exports.
#pragma once

#include "io/config/run_config.hpp"

#include <span>
#include <string_view>

namespace gpas {

// What config.json says about the window of sliding-window attention.
enum class WindowKeys {
    none,                 // the class has no window (Llama)
    sliding_window_4096,  // null: none; absent: 4096 (Mistral)
    // use_sliding_window false or absent: none, whatever sliding_window is; true: sliding_window (absent: 4096), in the
    // layers from max_window_layers (absent: 28) on (Qwen)
    use_sliding_window
};

struct ModelClass {
    std::string_view model_type;  // "llama"
    std::string_view name;        // "LlamaForCausalLM"
    Architecture architecture = Architecture::pre;
    QkNormKind qk_norm = QkNormKind::none;
    bool has_qkv_bias = false;        // always, without a key
    bool has_attention_bias = false;  // key attention_bias: biases of the query, key, value and output projections
    bool has_mlp_bias = false;        // key mlp_bias
    WindowKeys window = WindowKeys::none;
    bool needs_kv_heads = false, needs_head_dim = false;  // the defaults of these keys do not follow from other keys
    double norm_eps = 1e-6;                               // default of rms_norm_eps
};

std::span<const ModelClass> model_classes();

// The class that computes this model; null if no class does.
const ModelClass* class_of(const ModelConfig& model);

}  // namespace gpas
