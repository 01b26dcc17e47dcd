#include "io/config/schema.hpp"

#include "io/config/schema_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

using enum KeyRole;

// Upper limits only catch slips of the keyboard and keep products of sizes inside 64 bits.
constexpr ValueRange any_size{1, 1 << 20};
constexpr ValueRange step_count{0, 1e9};
constexpr ValueRange one_or_more_steps{1, 1e9};
constexpr ValueRange not_negative{0, std::numeric_limits<double>::infinity()};
constexpr ValueRange zero_to_one{0, 1};
constexpr ValueRange below_one{0, 1, false, true};
// fp32 has no smaller number with all of its digits, and below 7e-46 it has only 0.
constexpr double smallest_fp32 = 1.2e-38;

void declare_run(SchemaBuilder& schema) {
    auto run = schema.section<RunConfig>("", "The run as a whole", [](RunConfig& c) -> RunConfig& { return c; });
    run.add("name", no_math, &RunConfig::name, "", {}, "Name of the run, for logs, TensorBoard and exports.",
            {"run_name", "wandb_exp_name"});
    run.add("directory", no_math, &RunConfig::directory, "", {},
            "Where checkpoints, metrics and the resolved configuration go; {name}, {architecture} and {seed} are "
            "filled in.",
            {"save", "output_dir", "save_dir", "dump_folder"});
    run.add("seed", run_math, &RunConfig::seed, "", {}, "Seed of the initial weights and of the order of the data.",
            {"random_seed"});
}

void declare_model(SchemaBuilder& schema) {
    auto model =
        schema.section<ModelConfig>("model", "The transformer", [](RunConfig& c) -> ModelConfig& { return c.model; });
    model.add("architecture", model_math, &ModelConfig::architecture, "", {},
              "Where norms and gates stand: a row of the architecture table, named as in the paper's code.",
              {"norm_type", "arch", "flavor", "model_type"});
    model.add("vocab_size", model_math, &ModelConfig::vocab_size, "tokens", {2, 1 << 24},
              "Rows of the embedding and of the LM head, unpadded.", {"padded_vocab_size", "n_vocab"});
    model.add("hidden_size", model_math, &ModelConfig::hidden_size, "", any_size, "Width of the residual stream.",
              {"dim", "d_model", "n_embd", "embed_dim"});
    model.add("ffn_size", model_math, &ModelConfig::ffn_size, "", {1, 1 << 22}, "Inner width of the SwiGLU MLP.",
              {"ffn_hidden_size", "intermediate_size", "ffn_dim", "hidden_dim", "d_ff"});
    model.add("layers", model_math, &ModelConfig::layers, "layers", {1, 10000}, "Decoder layers, each attention + MLP.",
              {"num_layers", "n_layers", "n_layer", "num_hidden_layers", "depth"});
    model.add("heads", model_math, &ModelConfig::heads, "", {1, 65536}, "Attention (query) heads.",
              {"num_attention_heads", "n_heads", "n_head", "num_heads"});
    model.add("kv_heads", model_math, &ModelConfig::kv_heads, "", {0, 65536},
              "Key/value heads of grouped-query attention; 0: as many as heads.",
              {"num_query_groups", "num_key_value_heads", "n_kv_heads", "num_kv_heads"});
    model.add("head_dim", model_math, &ModelConfig::head_dim, "", {0, 8192},
              "Width of a head, even (RoPE turns pairs); 0: hidden_size / heads.", {"kv_channels", "d_head"});
    model.add("tied_embeddings", model_math, &ModelConfig::tied_embeddings, "", {},
              "Use the embedding as LM head; set embedding_init: normal with it, or the first logits are huge.",
              {"tie_word_embeddings", "untie_embeddings_and_output_weights", "enable_weight_tying", "tied_embedding"});
    model.add("rope_base", model_math, &ModelConfig::rope_base, "", {1, 1e12, true},
              "Base of the rotary position frequencies.", {"rope_theta", "rotary_base"});
    model.add("norm_eps", model_math, &ModelConfig::norm_eps, "", {1e-20, 1},
              "Epsilon inside the square root of RMSNorm.", {"norm_epsilon", "rms_norm_eps", "layernorm_epsilon"});
    model.add("init_std", run_math, &ModelConfig::init_std, "", {0, 10, true},
              "Standard deviation of the initial linear weights.", {"init_method_std", "initializer_range"});
    model.add("embedding_init", run_math, &ModelConfig::embedding_init, "", {},
              "Initial token embedding: scaled is N(0, sqrt(2/5)) as in the paper's code, normal is N(0, init_std).",
              {"scale_embed"});
    model.add("output_init", run_math, &ModelConfig::output_init, "", {},
              "Initial o and down projections: normal is N(0, init_std), scaled is N(0, init_std / sqrt(2 layers)).",
              {"output_layer_init_method", "depth_init"});
    model.add("lns", model_math, &ModelConfig::lns, "", {},
              "LayerNorm Scaling rows: 1/sqrt(l) as the norms' initial weight (GPAS paper) or on the norms' output "
              "(LNS paper).",
              {});
    model.add("mix_post_layers", model_math, &ModelConfig::mix_post_layers, "layers", {-1, 10000},
              "Mix-LN rows: how many of the first layers are Post-LN; -1: layers / 4, rounded down.", {"post_num"});

    auto rope = schema.section<RopeScalingConfig>(
        "model.rope_scaling", "Rotary frequencies of long waves lowered as in Llama 3, to reach further",
        [](RunConfig& c) -> RopeScalingConfig& { return c.model.rope_scaling; });
    rope.add("factor", model_math, &RopeScalingConfig::factor, "", {1, 1e6},
             "What the lowest frequencies are divided by; 1: none.", {});
    rope.add("low_freq_factor", model_math, &RopeScalingConfig::low_freq_factor, "", {0, 1e6, true},
             "Waves longer than original_length over this are divided.", {});
    rope.add("high_freq_factor", model_math, &RopeScalingConfig::high_freq_factor, "", {0, 1e6, true},
             "Waves shorter than original_length over this stay; those between are blended.", {});
    rope.add("original_length", model_math, &RopeScalingConfig::original_length, "tokens", {1, 1 << 30},
             "Sequence length of the first training.", {"original_max_position_embeddings"});

    auto gate = schema.section<GateConfig>("model.gate", "The GPAS gate: y = x - s(g) stop_gradient(x)",
                                           [](RunConfig& c) -> GateConfig& { return c.model.gate; });
    gate.add("function", model_math, &GateConfig::function, "", {},
             "s(g). silu is the paper's. scaled_silu is scale silu(g). scale_silu is g sigmoid(8 g), as in the paper's "
             "code.",
             {"activation", "gate_act", "gpas_act"});
    gate.add("scale", model_math, &GateConfig::scale, "", {-1e6, 1e6},
             "scaled_silu: s = scale silu(g); leaky_relu: slope below zero.", {});
    gate.add("init", run_math, &GateConfig::init, "", {-100, 100},
             "Initial g of every gate; silu at 0 is the identity.", {"gate_init"});
    gate.add("per_sublayer", model_math, &GateConfig::per_sublayer, "", {},
             "true: attention and MLP have a gate each; false: one gate a layer, used by both.", {});
    gate.add("frozen", run_math, &GateConfig::frozen, "", {}, "Keep every gate at its initial value.", {"freeze_gate"});
    gate.add("stop_gradient", run_math, &GateConfig::stop_gradient, "", {},
             "true is GPAS; false lets the gate scale gradients as well as activations (the ablation).", {"detach"});
}

void declare_data(SchemaBuilder& schema) {
    auto data = schema.section<DataConfig>("data", "Token files, in Megatron's .bin/.idx format",
                                           [](RunConfig& c) -> DataConfig& { return c.data; });
    data.add("train", file_content, &DataConfig::train, "", {},
             "Training tokens, sampled in proportion to the weights; needed by `gpas train`.",
             {"data_path", "train_data_path", "dataset", "dataset_path"});
    data.add("valid", file_content, &DataConfig::valid, "", {},
             "Held-out tokens; empty: valid_fraction of each training source, from its end.",
             {"valid_data_path", "validation", "eval_data"});
    data.add("valid_fraction", run_math, &DataConfig::valid_fraction, "share", below_one,
             "Share of each training source kept for evaluation where valid is empty.", {"split"});
    data.add("tokenizer", file_content, &DataConfig::tokenizer, "", {},
             "SentencePiece .model file; only `gpas generate` and exports need it.",
             {"tokenizer_model", "tokenizer_path", "vocab_file"});
    data.add("mode", run_math, &DataConfig::mode, "", {},
             "packed: documents joined and cut into full sequences; padded: one document a sample, cut or padded (the "
             "paper's).",
             {});
    data.add("truncated_end", run_math, &DataConfig::truncated_end, "", {},
             "padded: last token of a document that is cut. eos is EOS, as the paper's tokenizer gives it. text is the "
             "token that stands there. auto is eos if the documents of the file end with EOS, else text.",
             {});
    data.add("mask_documents", run_math, &DataConfig::mask_documents, "", {},
             "packed: neither attention nor loss crosses a document boundary.",
             {"reset_attention_mask", "reset_position_ids", "eod_mask_loss"});
    data.add("sequence_length", run_math, &DataConfig::sequence_length, "tokens", any_size,
             "Tokens that the model sees at once.",
             {"seq_length", "seq_len", "max_length", "max_position_embeddings", "block_size"});
}

void declare_training(SchemaBuilder& schema) {
    auto training = schema.section<TrainingConfig>(
        "training", "How long and in which portions", [](RunConfig& c) -> TrainingConfig& { return c.training; }, true);
    training.add("steps", later_steps, &TrainingConfig::steps, "steps", one_or_more_steps,
                 "Optimizer steps of the whole run.",
                 {"train_iters", "max_steps", "num_training_steps", "iterations", "max_iters", "num_steps"});
    training.add("global_batch_size", run_math, &TrainingConfig::global_batch_size, "samples", {1, 1e6},
                 "Samples per step, over all data-parallel ranks.", {"total_batch_size", "batch_size", "global_batch"});
    training.add("micro_batch_size", no_math, &TrainingConfig::micro_batch_size, "samples", {1, 1e6},
                 "Samples per forward pass of one rank; gradients accumulate up to global_batch_size.",
                 {"local_batch_size", "per_device_train_batch_size", "micro_batch"});
    training.add(
        "loss_mean", later_steps, &TrainingConfig::loss_mean, "", {},
        "What has equal weight in an update: loss tokens, or micro_batches as in the paper's code, where a token "
        "of a micro-batch with few loss tokens counts for more.",
        {});
    training.add("stop_after", no_math, &TrainingConfig::stop_after, "steps", step_count,
                 "End with a checkpoint after this step although the schedule goes on; 0: run all steps.",
                 {"exit_interval"});
    training
        .add(
            "on_bad_numbers", later_steps, &TrainingConfig::on_bad_numbers, "", {},
            "NaN or Inf in the loss or the gradients: stop the run, skip the step, or roll_back to the last checkpoint "
            "and go on with the data after the step.",
            {"check_for_nan_in_loss_and_grad"})
        .unseen = "It decides what follows NaN or Inf.";
    training
        .add("max_skipped_steps", later_steps, &TrainingConfig::max_skipped_steps, "steps", one_or_more_steps,
             "on_bad_numbers: skip gives up after this many skipped steps in a row.", {})
        .unseen = "It decides what follows NaN or Inf.";
    training
        .add("end_margin_seconds", no_math, &TrainingConfig::end_margin_seconds, "seconds", not_negative,
             "So long before the end of the job's time (and a step more) the run saves and ends with exit code 75.",
             {"exit_duration_in_mins"})
        .unseen = "It needs a job with an end.";
}

void declare_optimizer(SchemaBuilder& schema) {
    auto optimizer = schema.section<OptimizerConfig>(
        "optimizer", "AdamW", [](RunConfig& c) -> OptimizerConfig& { return c.optimizer; }, true);
    optimizer.add("learning_rate", later_steps, &OptimizerConfig::learning_rate, "", {0, 10},
                  "Peak learning rate; the schedule scales it.", {"lr", "max_lr"});
    optimizer.add("beta1", later_steps, &OptimizerConfig::beta1, "", below_one, "Decay of the first moment.",
                  {"adam_beta1", "betas"});
    optimizer.add("beta2", later_steps, &OptimizerConfig::beta2, "", below_one, "Decay of the second moment.",
                  {"adam_beta2"});
    optimizer.add("epsilon", later_steps, &OptimizerConfig::epsilon, "", {smallest_fp32, 1},
                  "Added to the root of the second moment, in fp32.", {"adam_eps", "eps", "adam_epsilon"});
    optimizer.add("weight_decay", later_steps, &OptimizerConfig::weight_decay, "", not_negative,
                  "Decoupled weight decay, scaled by the learning rate; gates are never decayed.", {"wd"});
    optimizer.add("decay_norms", later_steps, &OptimizerConfig::decay_norms, "", {}, "Decay the norm weights too.", {});
    optimizer.add("decay_embeddings", later_steps, &OptimizerConfig::decay_embeddings, "", {},
                  "Decay the token embedding too.", {});
    optimizer.add("clip_grad", later_steps, &OptimizerConfig::clip_grad, "", not_negative,
                  "Largest L2 norm of the whole gradient; 0: off.",
                  {"max_norm", "grad_clip", "grad_clipping", "gradient_clip_val", "max_grad_norm"});
    optimizer.add("clip_gate_grad", later_steps, &OptimizerConfig::clip_gate_grad, "", not_negative,
                  "Largest L2 norm of all gate gradients together, applied after clip_grad; 0: off.", {});
}

void declare_schedule(SchemaBuilder& schema) {
    auto schedule = schema.section<ScheduleConfig>(
        "schedule", "The learning rate over the steps", [](RunConfig& c) -> ScheduleConfig& { return c.schedule; },
        true);
    schedule.add("kind", later_steps, &ScheduleConfig::kind, "", {},
                 "Shape after the warm-up; wsd is warm-up, stable, decay.",
                 {"lr_decay_style", "scheduler", "decay_type", "lr_scheduler_type", "type"});
    schedule.add("warmup_steps", later_steps, &ScheduleConfig::warmup_steps, "steps", step_count,
                 "Linear warm-up up to the peak.", {"lr_warmup_iters", "num_warmup_steps", "warmup", "warmup_iters"});
    schedule.add("first_step", later_steps, &ScheduleConfig::first_step, "", {0, 1},
                 "Step of the schedule that the first update has. 0: as in PyTorch and the paper's code, so that the "
                 "first update has the learning rate at which the warm-up starts.",
                 {});
    schedule.add("initial_ratio", later_steps, &ScheduleConfig::initial_ratio, "share of peak", zero_to_one,
                 "Where the warm-up starts.", {"lr_warmup_init"});
    schedule.add("min_ratio", later_steps, &ScheduleConfig::min_ratio, "share of peak", zero_to_one,
                 "Where the decay ends.", {"min_lr", "min_lr_ratio", "min_lr_factor", "lr_min"});
    schedule.add(
        "decay_steps", later_steps, &ScheduleConfig::decay_steps, "steps", step_count,
        "linear, cosine: step at which min_ratio is reached (0: training.steps); wsd: length of the decay at the end.",
        {"lr_decay_iters", "lr_wsd_decay_iters", "decay_ratio"});
    schedule.add("wsd_decay", later_steps, &ScheduleConfig::wsd_decay, "", {}, "wsd: shape of the decay.",
                 {"lr_wsd_decay_style"});
}

void declare_machine(SchemaBuilder& schema) {
    auto parallel = schema.section<ParallelConfig>("parallel", "Ranks: tensor x pipeline x data",
                                                   [](RunConfig& c) -> ParallelConfig& { return c.parallel; });
    parallel.add("tensor", layout, &ParallelConfig::tensor, "ranks", {1, 65536}, "Tensor-parallel size.",
                 {"tensor_model_parallel_size", "tensor_parallel_degree", "tp", "tensor_parallel_size"});
    parallel.add("pipeline", layout, &ParallelConfig::pipeline, "ranks", {1, 65536}, "Pipeline-parallel size.",
                 {"pipeline_model_parallel_size", "pipeline_parallel_degree", "pp", "pipeline_parallel_size"});
    parallel
        .add("order", layout, &ParallelConfig::order, "", {},
             "Which ranks are neighbours, nearest first; what comes last crosses nodes.",
             {"use_tp_pp_dp_mapping", "rank_order"})
        .unseen = "It chooses which ranks are neighbours; the sums are the same.";
    parallel.add("sequence_parallel", layout, &ParallelConfig::sequence_parallel, "", {},
                 "Split norms and the residual stream over the tensor-parallel ranks too.",
                 {"enable_sequence_parallel", "sp"});
    parallel
        .add("tensor_overlap", layout, &ParallelConfig::tensor_overlap, "", {},
             "With sequence_parallel: cut tensor-parallel messages and their matrix products into blocks, so that one "
             "block travels while another is computed.",
             {"tp_comm_overlap", "enable_async_tensor_parallel"})
        .unseen = "It cuts messages and products into blocks; only the order of sums differs.";
    parallel.add("schedule", layout, &ParallelConfig::schedule, "", {},
                 "Pipeline schedule: gpipe, 1f1b, interleaved (several chunks a stage), zb_h1 (zero bubble).",
                 {"pipeline_parallel_schedule", "pp_engine", "pipeline_schedule"});
    parallel.add("virtual_chunks", layout, &ParallelConfig::virtual_chunks, "chunks", {1, 1024},
                 "interleaved: model chunks of a pipeline stage.",
                 {"virtual_pipeline_model_parallel_size", "num_virtual_stages_per_pipeline_rank", "vpp"});
    parallel.add("stage_layers", layout, &ParallelConfig::stage_layers, "", {},
                 "Layers of each pipeline stage (with chunks: of each model stage), such as 4,4,3; auto: balanced by "
                 "cost, the LM head counted.",
                 {"pipeline_model_parallel_layout", "decoder_first_pipeline_num_layers",
                  "pipeline_parallel_split_points", "module_fqns_per_model_part"});
    parallel.add("sharded_optimizer", layout, &ParallelConfig::sharded_optimizer, "", {},
                 "Split masters and moments over the data-parallel ranks (ZeRO stage 1).",
                 {"use_distributed_optimizer", "zero_stage", "zero1", "distributed_optimizer"});
    parallel
        .add("bucket_mib", layout, &ParallelConfig::bucket_mib, "MiB", {0, 1 << 20},
             "Gradients are reduced in buckets of this size while backward runs; 0: all at the end.",
             {"ddp_bucket_size", "bucket_cap_mb", "reduce_bucket_size"})
        .unseen = "It cuts gradients into messages; the sums are the same, and a small model fits one bucket.";
    parallel.add("recompute", layout, &ParallelConfig::recompute, "", {},
                 "What backward computes again to save memory: none, selective (inside attention and MLP), full (each "
                 "layer).",
                 {"recompute_granularity", "activation_checkpoint", "activation_checkpointing", "recompute_layer",
                  "gradient_checkpointing"});
    parallel
        .add("timeout_seconds", layout, &ParallelConfig::timeout_seconds, "seconds", {0, 1e9},
             "Longest wait for other ranks before the job ends with a report of who is missing; 0: for ever.",
             {"distributed_timeout_minutes", "nccl_timeout", "init_timeout_seconds", "train_timeout_seconds"})
        .unseen = "It limits a wait that a healthy run does not have.";
    parallel
        .add("verify_collectives", layout, &ParallelConfig::verify_collectives, "", {},
             "Compare what the ranks call before data moves.", {})
        .unseen = "It finds ranks that call different collectives; a healthy run has none.";
    parallel
        .add("share_gpu", layout, &ParallelConfig::share_gpu, "", {},
             "Ranks that share a GPU talk through host memory and MPI (staged), or through NCCL, which must be 2.30 or "
             "later: for tests of several ranks on few GPUs.",
             {})
        .unseen = "It chooses how messages travel; the sums are the same.";
    parallel.add("data", layout, &ParallelConfig::data, "ranks", {0, 1 << 24},
                 "Data-parallel size; 0: what the number of ranks leaves.",
                 {"data_parallel_size", "data_parallel_degree", "data_parallel_shard_degree", "dp"});

    auto watch = schema.section<WatchConfig>(
        "watch", "Ranks that are lost or slow", [](RunConfig& c) -> WatchConfig& { return c.watch; }, true);
    watch
        .add("silent_seconds", no_math, &WatchConfig::silent_seconds, "seconds", {0, 1e9},
             "A rank whose process is stopped or whose node cannot be reached for so long ends the job with a report; "
             "0: only ranks that have died do.",
             {"heartbeat_timeout", "rank_heartbeat_timeout"})
        .unseen = "It limits a silence that a healthy run does not have.";
    watch
        .add("straggler_factor", no_math, &WatchConfig::straggler_factor, "", {0, 1e6},
             "Ranks whose own work takes so many times that of the others of their pipeline stage are named; 0: none.",
             {"log_straggler", "straggler_minmax_count"})
        .unseen = "It names slow ranks of runs of several.";
    watch
        .add("straggler_steps", no_math, &WatchConfig::straggler_steps, "steps", one_or_more_steps,
             "Steps over which that is measured.", {})
        .unseen = "It names slow ranks of runs of several.";

    auto guard = schema.section<GuardConfig>(
        "guard", "Numbers that go wrong", [](RunConfig& c) -> GuardConfig& { return c.guard; }, true);
    guard
        .add("spike_sigmas", later_steps, &GuardConfig::spike_sigmas, "standard deviations", not_negative,
             "A loss so far above the mean of the last spike_window steps is a spike; 0: none is.",
             {"check_for_spiky_loss", "spike_factor"})
        .unseen = "It decides what a spike is; a short run has none.";
    guard
        .add("spike_window", later_steps, &GuardConfig::spike_window, "steps", {2, 100000},
             "Steps that a loss is held against.", {})
        .unseen = "It decides what a spike is; a short run has none.";
    guard
        .add("spike_gradient", later_steps, &GuardConfig::spike_gradient, "", {},
             "The gradient's norm can be a spike too.", {})
        .unseen = "It decides what a spike is; a short run has none.";
    guard
        .add("on_spike", later_steps, &GuardConfig::on_spike, "", {},
             "warn, skip the step, roll_back to the last checkpoint and go on with the data after the step, or stop.",
             {})
        .unseen = "It decides what follows a spike.";
    guard
        .add("recompute", later_steps, &GuardConfig::recompute, "", {},
             "Compute a step with bad numbers or a spike again: other bits mean that hardware fails, and the second "
             "result "
             "counts.",
             {"rerun_mode"})
        .unseen = "It checks suspicious steps, which a healthy run does not have.";
    guard
        .add("weights_every", later_steps, &GuardConfig::weights_every, "steps", step_count,
             "Steps between comparisons of weights that several ranks have alike; 0: never.",
             {"check_weight_hash_across_dp_replicas_interval"})
        .unseen = "It compares ranks; a run of one rank has none to compare.";
    guard
        .add("on_different_weights", later_steps, &GuardConfig::on_different_weights, "", {},
             "stop, or roll_back to the last checkpoint.", {})
        .unseen = "It decides what follows when ranks differ.";
    guard
        .add("max_roll_backs", later_steps, &GuardConfig::max_roll_backs, "", {0, 1e6},
             "So many times a start rolls back; the next time it stops.", {})
        .unseen = "It limits roll backs, which only failures cause.";

    auto compute = schema.section<ComputeConfig>("compute", "The device of a rank",
                                                 [](RunConfig& c) -> ComputeConfig& { return c.compute; });
    compute
        .add("device", later_steps, &ComputeConfig::device, "", {},
             "auto: a CUDA GPU where there is one, else the CPU.", {"backend"})
        .unseen = "Without a GPU, auto is cpu.";
    compute.add("dtype", later_steps, &ComputeConfig::dtype, "", {},
                "Weights and activations in the forward and backward pass; master weights, moments and sums stay fp32.",
                {"precision", "bf16", "fp16", "mixed_precision", "torch_dtype", "mixed_precision_param"});
    compute
        .add("threads", layout, &ComputeConfig::threads, "threads", {0, 65536},
             "CPU threads per rank; 0: the rank's share of the CPUs that the ranks of its node may use (affinity mask, "
             "CPU quota).",
             {"omp_num_threads", "num_threads"})
        .unseen = "Any number of threads computes the same bits.";
    compute.add("peak_tflops", no_math, &ComputeConfig::peak_tflops, "TFLOP/s", not_negative,
                "Peak of a rank's device, for the model-FLOPs utilisation; 0: from the data sheet of a known GPU "
                "(bf16), else measured at start-up.",
                {});
}

void declare_records(SchemaBuilder& schema) {
    auto evaluation = schema.section<EvaluationConfig>("evaluation", "Loss on held-out data while training",
                                                       [](RunConfig& c) -> EvaluationConfig& { return c.evaluation; });
    evaluation.add("every", no_math, &EvaluationConfig::every, "steps", step_count,
                   "Steps between evaluations; 0: never.", {"eval_interval", "eval_every", "eval_steps"});
    evaluation.add("samples", later_steps, &EvaluationConfig::samples, "samples", {0, 1e12},
                   "Held-out samples per evaluation, and of `gpas eval`; 0: all.", {"eval_iters", "eval_batches"});

    auto checkpoint = schema.section<CheckpointConfig>(
        "checkpoint", "Saved states", [](RunConfig& c) -> CheckpointConfig& { return c.checkpoint; }, true);
    checkpoint.add("every", no_math, &CheckpointConfig::every, "steps", step_count,
                   "Steps between checkpoints; 0: only at the end.",
                   {"save_interval", "interval", "save_every", "save_steps"});
    checkpoint.add("keep_last", no_math, &CheckpointConfig::keep_last, "checkpoints", {0, 1e6},
                   "Older ones are deleted once this number of newer ones is known to be good; 0: keep all.",
                   {"keep_latest_k", "save_total_limit"});
    checkpoint.add("keep_every", no_math, &CheckpointConfig::keep_every, "steps", step_count,
                   "Those of steps that are multiples of it are never deleted; 0: none.",
                   {"save_retain_interval", "keep_period"});
    checkpoint
        .add("buffer_gib", no_math, &CheckpointConfig::buffer_gib, "GiB", not_negative,
             "Host memory of a rank for checkpoints: where its part fits, it is copied there and written while "
             "training goes on; else training waits.",
             {"async_save", "async_mode", "use_async"})
        .unseen = "It chooses whether training waits for a save, of which the file is the same.";
    checkpoint
        .add("max_failures", no_math, &CheckpointConfig::max_failures, "saves", {1, 1e6},
             "A save that fails is tried again; so many in a row end the run.", {})
        .unseen = "It counts saves that fail.";
    checkpoint.add("resume", no_math, &CheckpointConfig::resume, "", {},
                   "auto: continue from the newest checkpoint of the current branch in directory; never: start anew; "
                   "or the path of a "
                   "checkpoint. What the run leaves by that is set aside, not deleted. The same command, started again "
                   "before the run "
                   "has reached its last step, continues the run in all three cases.",
                   {"load", "resume_from_checkpoint", "continue_from"});
    checkpoint.add("init_from", run_math, &CheckpointConfig::init_from, "path", {},
                   "A checkpoint whose weights a run begins with that starts anew, without moments and step; empty: "
                   "random ones.",
                   {"initial_load_path", "pretrained_checkpoint", "finetune"});

    auto metrics = schema.section<MetricsConfig>(
        "metrics", "Console and files", [](RunConfig& c) -> MetricsConfig& { return c.metrics; }, true);
    metrics.add("every", no_math, &MetricsConfig::every, "steps", one_or_more_steps,
                "Steps between console lines and records.", {"log_interval", "log_freq", "log_every"});
    metrics.add("jsonl", no_math, &MetricsConfig::jsonl, "", {}, "Write metrics.jsonl, one record a line.", {});
    metrics.add("tensorboard", no_math, &MetricsConfig::tensorboard, "", {}, "Write TensorBoard event files.",
                {"enable_tensorboard", "tensorboard_dir"});
    metrics.add("gpas_every", no_math, &MetricsConfig::gpas_every, "steps", step_count,
                "Steps between records of the gates and of the residual stream's variance per layer; 0: never.", {});
    metrics
        .add("nvtx", no_math, &MetricsConfig::nvtx, "", {},
             "Name phases, micro-batches, layers and collectives in the timeline of a profiler (NVTX); GPUs only.",
             {"nvtx_ranges", "enable_nvtx", "profile_ranges"})
        .unseen = "Only a profiler sees the names.";
    auto profile = schema.section<ProfileConfig>(
        "metrics.profile", "The steps that `nsys profile -c cudaProfilerApi` records; GPUs only",
        [](RunConfig& c) -> ProfileConfig& { return c.metrics.profile; }, true);
    profile.add("from", no_math, &ProfileConfig::from, "steps", step_count, "The first one; 0: none.",
                {"profile_step_start", "profiling_start_step", "profile_start"})
        .unseen = "Only a profiler sees where the steps begin.";
    profile.add("to", no_math, &ProfileConfig::to, "steps", step_count, "The last one, itself recorded.",
                {"profile_step_end", "profiling_end_step", "profile_end"})
        .unseen = "Only a profiler sees where the steps end.";
}

SchemaBuilder declare_all() {
    SchemaBuilder schema;
    declare_run(schema);
    declare_model(schema);
    declare_data(schema);
    declare_training(schema);
    declare_optimizer(schema);
    declare_schedule(schema);
    declare_machine(schema);
    declare_records(schema);
    return schema;
}

const SchemaBuilder& schema() {
    static const SchemaBuilder built = declare_all();
    return built;
}

}  // namespace

const std::vector<KeySpec>& config_keys() { return schema().keys; }
const std::vector<SectionSpec>& config_sections() { return schema().sections; }

const KeySpec* find_key(std::string_view dotted_name) {
    const auto& keys = config_keys();
    const auto found =
        std::find_if(keys.begin(), keys.end(), [&](const KeySpec& key) { return key.name == dotted_name; });
    return found == keys.end() ? nullptr : &*found;
}

bool is_section(std::string_view dotted_name) {
    const auto& sections = config_sections();
    return std::any_of(sections.begin(), sections.end(),
                       [&](const SectionSpec& section) { return section.name == dotted_name; });
}

std::string default_of(const KeySpec& key) { return format_key(key, RunConfig{}); }

}  // namespace gpas
