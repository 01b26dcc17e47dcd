#include "io/config/schema_parts.hpp"

namespace gpas::schema_parts {

void declare_run(SchemaBuilder& schema) {
    auto run = schema.section<RunConfig>("", "The run as a whole", [](RunConfig& c) -> RunConfig& { return c; });
    run.add("name", no_math, &RunConfig::name,
            {.help = "Name of the run in logs, TensorBoard and exports.", .aliases = {"run_name", "wandb_exp_name"}});
    run.add("directory", no_math, &RunConfig::directory,
            {.help = "Directory for checkpoints, metrics and the resolved configuration. {name}, {architecture} and "
                     "{seed} are replaced by their values.",
             .aliases = {"save", "output_dir", "save_dir", "dump_folder"}});
    run.add("seed", run_math, &RunConfig::seed,
            {.help = "Seed of the initial weights and of the sample order.", .aliases = {"random_seed"}});
}

namespace {

void declare_model_sizes(SectionBuilder<ModelConfig>& model) {
    model.add(
        "architecture", model_math, &ModelConfig::architecture,
        {.help = "Row of the architecture table: the positions of norms and gates. Names follow the paper's code; "
                 "reordered is the norm of OLMo 2.",
         .aliases = {"norm_type", "arch", "flavor", "model_type"}});
    model.add("vocab_size", model_math, &ModelConfig::vocab_size,
              {.help = "Rows of the embedding and of the LM head, without padding.",
               .unit = "tokens",
               .range = {2, 1 << 24},
               .aliases = {"padded_vocab_size", "n_vocab"}});
    model.add("hidden_size", model_math, &ModelConfig::hidden_size,
              {.help = "Width of the residual stream.",
               .range = any_size,
               .aliases = {"dim", "d_model", "n_embd", "embed_dim"}});
    model.add("ffn_size", model_math, &ModelConfig::ffn_size,
              {.help = "Inner width of the SwiGLU MLP.",
               .range = {1, 1 << 22},
               .aliases = {"ffn_hidden_size", "intermediate_size", "ffn_dim", "hidden_dim", "d_ff"}});
    model.add("layers", model_math, &ModelConfig::layers,
              {.help = "Decoder layers, each with attention and MLP.",
               .unit = "layers",
               .range = {1, 10000},
               .aliases = {"num_layers", "n_layers", "n_layer", "num_hidden_layers", "depth"}});
    model.add("heads", model_math, &ModelConfig::heads,
              {.help = "Attention (query) heads.",
               .range = {1, 65536},
               .aliases = {"num_attention_heads", "n_heads", "n_head", "num_heads"}});
    model.add("kv_heads", model_math, &ModelConfig::kv_heads,
              {.help = "Key/value heads of grouped-query attention. 0: as many as heads.",
               .range = {0, 65536},
               .aliases = {"num_query_groups", "num_key_value_heads", "n_kv_heads", "num_kv_heads"}});
    model.add("head_dim", model_math, &ModelConfig::head_dim,
              {.help = "Width of a head; even, because RoPE rotates pairs. 0: hidden_size / heads.",
               .range = {0, 8192},
               .aliases = {"kv_channels", "d_head"}});
    model.add(
        "sliding_window", model_math, &ModelConfig::sliding_window,
        {.help = "Sliding-window attention, as in Mistral: position t attends to positions t - sliding_window + 1 "
                 "to t, in every layer. 0: to all positions up to t.",
         .unit = "tokens",
         .range = {0, 1 << 30},
         .aliases = {"window_size", "window", "attention_window_size"}});
}

void declare_model_branches(SectionBuilder<ModelConfig>& model) {
    model.add("qkv_bias", model_math, &ModelConfig::qkv_bias,
              {.help = "Biases of the query, key and value projections, as in Qwen2. They start at 0.",
               .aliases = {"add_qkv_bias", "attention_bias"}});
    model.add("output_bias", model_math, &ModelConfig::output_bias,
              {.help = "Bias of the attention-output projection. It starts at 0.", .aliases = {"o_proj_bias"}});
    model.add("mlp_bias", model_math, &ModelConfig::mlp_bias,
              {.help = "Biases of the MLP's gate, up and down projections. They start at 0.",
               .aliases = {"add_bias_linear"}});
    model.add("qk_norm", model_math, &ModelConfig::qk_norm,
              {.help = "RMSNorm of queries and keys before RoPE. head: one norm per head; all heads share a weight of "
                       "head_dim (Qwen3). projection: one norm over all query heads and one over all key heads (OLMo "
                       "2).",
               .aliases = {"qk_layernorm", "use_qk_norm"}});
}

void declare_model_details(SectionBuilder<ModelConfig>& model) {
    model.add("tied_embeddings", model_math, &ModelConfig::tied_embeddings,
              {.help = "Use the embedding as the LM head. Set embedding_init: normal with it; with scaled, the first "
                       "logits are huge.",
               .aliases = {"tie_word_embeddings", "untie_embeddings_and_output_weights", "enable_weight_tying",
                           "tied_embedding"}});
    model.add(
        "rope_base", model_math, &ModelConfig::rope_base,
        {.help = "Base of the RoPE frequencies.", .range = {1, 1e12, true}, .aliases = {"rope_theta", "rotary_base"}});
    model.add("norm_eps", model_math, &ModelConfig::norm_eps,
              {.help = "Epsilon inside the square root of RMSNorm.",
               .range = {1e-20, 1},
               .aliases = {"norm_epsilon", "rms_norm_eps", "layernorm_epsilon"}});
    model.add("init_std", run_math, &ModelConfig::init_std,
              {.help = "Standard deviation of the initial weights of linear layers.",
               .range = {0, 10, true},
               .aliases = {"init_method_std", "initializer_range"}});
    model.add(
        "embedding_init", run_math, &ModelConfig::embedding_init,
        {.help = "Initial token embedding. scaled: N(0, sqrt(2/5)), as in the paper's code. normal: N(0, init_std).",
         .aliases = {"scale_embed"}});
    model.add("output_init", run_math, &ModelConfig::output_init,
              {.help = "Initial attention-output and MLP-down projections. normal: N(0, init_std). scaled: N(0, "
                       "init_std / sqrt(2 layers)).",
               .aliases = {"output_layer_init_method", "depth_init"}});
    model.add("lns", model_math, &ModelConfig::lns,
              {.help = "lns, lns_gpas: where LayerNorm Scaling applies 1/sqrt(l) in layer l. init: initial weight of "
                       "the norms (GPAS paper). output: output of the norms (LNS paper)."});
    model.add("mix_post_layers", model_math, &ModelConfig::mix_post_layers,
              {.help = "post_pre, post_pre_gpas (Mix-LN): number of Post-LN layers, counted from the first layer. -1: "
                       "layers / 4, rounded down.",
               .unit = "layers",
               .range = {-1, 10000},
               .aliases = {"post_num"}});
}

}  // namespace

void declare_model(SchemaBuilder& schema) {
    auto model =
        schema.section<ModelConfig>("model", "The transformer", [](RunConfig& c) -> ModelConfig& { return c.model; });
    declare_model_sizes(model);
    declare_model_branches(model);
    declare_model_details(model);
}

void declare_rope_scaling(SchemaBuilder& schema) {
    auto rope = schema.section<RopeScalingConfig>(
        "model.rope_scaling", "Llama 3's RoPE scaling, which lowers low frequencies to extend the context",
        [](RunConfig& c) -> RopeScalingConfig& { return c.model.rope_scaling; });
    rope.add("factor", model_math, &RopeScalingConfig::factor,
             {.help = "Divisor of the lowest frequencies. 1: no scaling.", .range = {1, 1e6}});
    rope.add("low_freq_factor", model_math, &RopeScalingConfig::low_freq_factor,
             {.help = "Frequencies whose wavelength exceeds original_length / low_freq_factor are divided by factor.",
              .range = {0, 1e6, true}});
    rope.add("high_freq_factor", model_math, &RopeScalingConfig::high_freq_factor,
             {.help = "Frequencies whose wavelength is below original_length / high_freq_factor are kept. Frequencies "
                      "in between are interpolated.",
              .range = {0, 1e6, true}});
    rope.add("original_length", model_math, &RopeScalingConfig::original_length,
             {.help = "Sequence length of the original pretraining.",
              .unit = "tokens",
              .range = {1, 1 << 30},
              .aliases = {"original_max_position_embeddings"}});
}

void declare_gate(SchemaBuilder& schema) {
    auto gate = schema.section<GateConfig>("model.gate", "The GPAS gate: y = x - s(g) stop_gradient(x)",
                                           [](RunConfig& c) -> GateConfig& { return c.model.gate; });
    gate.add("function", model_math, &GateConfig::function,
             {.help = "The function s(g). silu: as in the paper. scaled_silu: scale * silu(g). scale_silu: g * "
                      "sigmoid(8 g), as in the paper's code.",
              .aliases = {"activation", "gate_act", "gpas_act"}});
    gate.add("scale", model_math, &GateConfig::scale,
             {.help = "scaled_silu: factor on silu(g). leaky_relu: slope for g < 0.", .range = {-1e6, 1e6}});
    gate.add("init", run_math, &GateConfig::init,
             {.help = "Initial g of every gate. With silu, g = 0 makes the gate the identity.",
              .range = {-100, 100},
              .aliases = {"gate_init"}});
    gate.add("per_sublayer", model_math, &GateConfig::per_sublayer,
             {.help = "true: attention and MLP each have a gate. false: one gate per layer, shared by both."});
    gate.add("frozen", run_math, &GateConfig::frozen,
             {.help = "Keep every gate at its initial value.", .aliases = {"freeze_gate"}});
    gate.add("stop_gradient", run_math, &GateConfig::stop_gradient,
             {.help = "true: GPAS. false: the gate scales gradients as well as activations (ablation).",
              .aliases = {"detach"}});
}

}  // namespace gpas::schema_parts
