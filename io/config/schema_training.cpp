#include "io/config/schema_parts.hpp"

namespace gpas::schema_parts {

void declare_data(SchemaBuilder& schema) {
    auto data = schema.section<DataConfig>("data", "Token files in Megatron's .bin/.idx format",
                                           [](RunConfig& c) -> DataConfig& { return c.data; });
    data.add("train", file_content, &DataConfig::train,
             {.help = "Training data sources, sampled in proportion to their weights. Required by `gpas train`.",
              .aliases = {"data_path", "train_data_path", "dataset", "dataset_path"}});
    data.add("valid", file_content, &DataConfig::valid,
             {.help = "Held-out data sources. Empty: the last valid_fraction of each training source.",
              .aliases = {"valid_data_path", "validation", "eval_data"}});
    data.add("valid_fraction", run_math, &DataConfig::valid_fraction,
             {.help = "Fraction of each training source that is held out for evaluation if valid is empty.",
              .unit = "fraction",
              .range = below_one,
              .aliases = {"split"}});
    data.add(
        "tokenizer", file_content, &DataConfig::tokenizer,
        {.help =
             "SentencePiece .model file, tokenizer.json, tekken.json or tiktoken file. Only `gpas generate` and exports need it.",
         .aliases = {"tokenizer_model", "tokenizer_path", "vocab_file"}});
    data.add("mode", run_math, &DataConfig::mode,
             {.help = "packed: documents are concatenated and cut into full sequences. padded: one document per "
                      "sample, truncated or padded, as in the paper."});
    data.add(
        "truncated_end", run_math, &DataConfig::truncated_end,
        {.help =
             "padded: last token of a truncated document. eos: EOS, as from the paper's tokenizer. text: the "
             "document's own token at that position. auto: eos if the documents of the file end with EOS, else text."});
    data.add("mask_documents", run_math, &DataConfig::mask_documents,
             {.help = "packed: attention and loss do not cross document boundaries.",
              .aliases = {"reset_attention_mask", "reset_position_ids", "eod_mask_loss"}});
    data.add("sequence_length", run_math, &DataConfig::sequence_length,
             {.help = "Tokens per sample: the context length in training.",
              .unit = "tokens",
              .range = any_size,
              .aliases = {"seq_length", "seq_len", "max_length", "max_position_embeddings", "block_size"}});
}

void declare_training(SchemaBuilder& schema) {
    auto training = schema.section<TrainingConfig>(
        "training", "Length of the run and batch sizes", [](RunConfig& c) -> TrainingConfig& { return c.training; },
        true);
    training.add(
        "steps", later_steps, &TrainingConfig::steps,
        {.help = "Optimizer steps of the whole run.",
         .unit = "steps",
         .range = one_or_more_steps,
         .aliases = {"train_iters", "max_steps", "num_training_steps", "iterations", "max_iters", "num_steps"}});
    training.add("global_batch_size", run_math, &TrainingConfig::global_batch_size,
                 {.help = "Samples per step, summed over all data-parallel ranks.",
                  .unit = "samples",
                  .range = {1, 1e6},
                  .aliases = {"total_batch_size", "batch_size", "global_batch"}});
    training.add("micro_batch_size", no_math, &TrainingConfig::micro_batch_size,
                 {.help = "Samples per forward pass of one rank. Gradients accumulate up to global_batch_size.",
                  .unit = "samples",
                  .range = {1, 1e6},
                  .aliases = {"local_batch_size", "per_device_train_batch_size", "micro_batch"}});
    training.add(
        "loss_mean", later_steps, &TrainingConfig::loss_mean,
        {.help = "What has equal weight in an update. tokens: every loss token. micro_batches: every micro-batch, as "
                 "in the paper's code; a token then counts for more if its micro-batch has few loss tokens."});
    training.add("stop_after", no_math, &TrainingConfig::stop_after,
                 {.help = "Save a checkpoint and end after this step; the learning-rate schedule still covers all "
                          "steps. 0: run all steps.",
                  .unit = "steps",
                  .range = step_count,
                  .aliases = {"exit_interval"}});
    training.add("on_bad_numbers", later_steps, &TrainingConfig::on_bad_numbers,
                 {.help = "Action on NaN or Inf in the loss or the gradients. stop: end the run. skip: skip the step. "
                          "roll_back: return to the last checkpoint and continue with the data after the step.",
                  .aliases = {"check_for_nan_in_loss_and_grad"},
                  .unseen = "It decides what follows NaN or Inf."});
    training.add(
        "max_skipped_steps", later_steps, &TrainingConfig::max_skipped_steps,
        {.help = "End the run after this many skipped steps in a row (on_bad_numbers: skip or guard.on_spike: skip).",
         .unit = "steps",
         .range = one_or_more_steps,
         .unseen = "It decides what follows NaN or Inf."});
    training.add("end_margin_seconds", no_math, &TrainingConfig::end_margin_seconds,
                 {.help = "Save and exit (code 75) this many seconds, plus one step, before the job's time limit.",
                  .unit = "seconds",
                  .range = not_negative,
                  .aliases = {"exit_duration_in_mins"},
                  .unseen = "It needs a job with a time limit."});
}

void declare_optimizer(SchemaBuilder& schema) {
    auto optimizer = schema.section<OptimizerConfig>(
        "optimizer", "AdamW", [](RunConfig& c) -> OptimizerConfig& { return c.optimizer; }, true);
    optimizer.add(
        "learning_rate", later_steps, &OptimizerConfig::learning_rate,
        {.help = "Peak learning rate. The schedule scales it.", .range = {0, 10}, .aliases = {"lr", "max_lr"}});
    optimizer.add("beta1", later_steps, &OptimizerConfig::beta1,
                  {.help = "Decay rate of the first moment.", .range = below_one, .aliases = {"adam_beta1", "betas"}});
    optimizer.add("beta2", later_steps, &OptimizerConfig::beta2,
                  {.help = "Decay rate of the second moment.", .range = below_one, .aliases = {"adam_beta2"}});
    optimizer.add("epsilon", later_steps, &OptimizerConfig::epsilon,
                  {.help = "Added to the square root of the second moment, in fp32.",
                   .range = {smallest_fp32, 1},
                   .aliases = {"adam_eps", "eps", "adam_epsilon"}});
    optimizer.add(
        "weight_decay", later_steps, &OptimizerConfig::weight_decay,
        {.help = "Decoupled weight decay, multiplied by the learning rate. Gates and biases are never decayed.",
         .range = not_negative,
         .aliases = {"wd"}});
    optimizer.add("decay_norms", later_steps, &OptimizerConfig::decay_norms,
                  {.help = "Apply weight decay to norm weights."});
    optimizer.add("decay_embeddings", later_steps, &OptimizerConfig::decay_embeddings,
                  {.help = "Apply weight decay to the token embedding."});
    optimizer.add("clip_grad", later_steps, &OptimizerConfig::clip_grad,
                  {.help = "Clip the L2 norm of the whole gradient to this value. 0: off.",
                   .range = not_negative,
                   .aliases = {"max_norm", "grad_clip", "grad_clipping", "gradient_clip_val", "max_grad_norm"}});
    optimizer.add("clip_gate_grad", later_steps, &OptimizerConfig::clip_gate_grad,
                  {.help = "Clip the L2 norm of all gate gradients together to this value, after clip_grad. 0: off.",
                   .range = not_negative});
}

void declare_schedule(SchemaBuilder& schema) {
    auto schedule = schema.section<ScheduleConfig>(
        "schedule", "Learning rate over the steps", [](RunConfig& c) -> ScheduleConfig& { return c.schedule; }, true);
    schedule.add("kind", later_steps, &ScheduleConfig::kind,
                 {.help = "Shape after the warm-up. wsd: warm-up, stable, decay.",
                  .aliases = {"lr_decay_style", "scheduler", "decay_type", "lr_scheduler_type", "type"}});
    schedule.add("warmup_steps", later_steps, &ScheduleConfig::warmup_steps,
                 {.help = "Length of the linear warm-up to the peak learning rate.",
                  .unit = "steps",
                  .range = step_count,
                  .aliases = {"lr_warmup_iters", "num_warmup_steps", "warmup", "warmup_iters"}});
    schedule.add("first_step", later_steps, &ScheduleConfig::first_step,
                 {.help = "Schedule step that the first update uses. 0: as in PyTorch and the paper's code; the first "
                          "update then has the learning rate at which the warm-up starts.",
                  .range = {0, 1}});
    schedule.add("initial_ratio", later_steps, &ScheduleConfig::initial_ratio,
                 {.help = "Learning rate at which the warm-up starts.",
                  .unit = "fraction of peak",
                  .range = zero_to_one,
                  .aliases = {"lr_warmup_init"}});
    schedule.add("min_ratio", later_steps, &ScheduleConfig::min_ratio,
                 {.help = "Learning rate at which the decay ends.",
                  .unit = "fraction of peak",
                  .range = zero_to_one,
                  .aliases = {"min_lr", "min_lr_ratio", "min_lr_factor", "lr_min"}});
    schedule.add("decay_steps", later_steps, &ScheduleConfig::decay_steps,
                 {.help = "linear, cosine: step at which min_ratio is reached (0: training.steps). wsd: length of the "
                          "decay at the end.",
                  .unit = "steps",
                  .range = step_count,
                  .aliases = {"lr_decay_iters", "lr_wsd_decay_iters", "decay_ratio"}});
    schedule.add("wsd_decay", later_steps, &ScheduleConfig::wsd_decay,
                 {.help = "wsd: shape of the decay.", .aliases = {"lr_wsd_decay_style"}});
}

}  // namespace gpas::schema_parts
