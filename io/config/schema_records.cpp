#include "io/config/schema_parts.hpp"

namespace gpas::schema_parts {

void declare_evaluation(SchemaBuilder& schema) {
    auto evaluation =
        schema.section<EvaluationConfig>("evaluation", "Loss on held-out data and scores of tasks during training",
                                         [](RunConfig& c) -> EvaluationConfig& { return c.evaluation; });
    evaluation.add("every", no_math, &EvaluationConfig::every,
                   {.help = "Steps between evaluations. 0: never.",
                    .unit = "steps",
                    .range = step_count,
                    .aliases = {"eval_interval", "eval_every", "eval_steps"}});
    evaluation.add("samples", later_steps, &EvaluationConfig::samples,
                   {.help = "Held-out samples per evaluation, also in `gpas eval`. 0: all.",
                    .unit = "samples",
                    .range = {0, 1e12},
                    .aliases = {"eval_iters", "eval_batches"}});
    evaluation.add("tasks", no_math, &EvaluationConfig::tasks,
                   {.help = "Files of multiple-choice questions (docs/tasks.md) that each evaluation scores. They need "
                            "data.tokenizer.",
                    .unit = "paths"});
}

void declare_checkpoint(SchemaBuilder& schema) {
    auto checkpoint = schema.section<CheckpointConfig>(
        "checkpoint", "Checkpoints", [](RunConfig& c) -> CheckpointConfig& { return c.checkpoint; }, true);
    checkpoint.add("every", no_math, &CheckpointConfig::every,
                   {.help = "Steps between checkpoints. 0: only at the end.",
                    .unit = "steps",
                    .range = step_count,
                    .aliases = {"save_interval", "interval", "save_every", "save_steps"}});
    checkpoint.add("keep_last", no_math, &CheckpointConfig::keep_last,
                   {.help = "Delete a checkpoint once this many newer ones are known to be good. 0: keep all.",
                    .unit = "checkpoints",
                    .range = {0, 1e6},
                    .aliases = {"keep_latest_k", "save_total_limit"}});
    checkpoint.add("keep_every", no_math, &CheckpointConfig::keep_every,
                   {.help = "Never delete checkpoints whose step is a multiple of this number. 0: off.",
                    .unit = "steps",
                    .range = step_count,
                    .aliases = {"save_retain_interval", "keep_period"}});
    checkpoint.add("buffer_gib", no_math, &CheckpointConfig::buffer_gib,
                   {.help = "Host memory per rank for checkpoints. If the rank's part fits, it is copied there and "
                            "written while training continues. Otherwise training waits.",
                    .unit = "GiB",
                    .range = not_negative,
                    .aliases = {"async_save", "async_mode", "use_async"},
                    .unseen = "It chooses whether training waits for a save; the file is the same."});
    checkpoint.add("max_failures", no_math, &CheckpointConfig::max_failures,
                   {.help = "A failed save is retried. This many failures in a row end the run.",
                    .unit = "saves",
                    .range = {1, 1e6},
                    .unseen = "It counts saves that fail."});
    checkpoint.add("resume", no_math, &CheckpointConfig::resume,
                   {.help = "auto: continue from the newest checkpoint of the current branch in directory. never: "
                            "start from initial weights. PATH: continue from this checkpoint. Checkpoints that do not "
                            "lead to the new state are set aside, not deleted. If the same command is started again "
                            "before the run has reached its last step, it continues the run in all three cases.",
                    .aliases = {"load", "resume_from_checkpoint", "continue_from"}});
    checkpoint.add("init_from", run_math, &CheckpointConfig::init_from,
                   {.help = "Checkpoint to take initial weights from (optimizer state and step are not restored). "
                            "Model keys that are not set have the values of the checkpoint. Empty: random "
                            "initialisation.",
                    .unit = "path",
                    .aliases = {"initial_load_path", "pretrained_checkpoint", "finetune"}});
}

void declare_metrics(SchemaBuilder& schema) {
    auto metrics = schema.section<MetricsConfig>(
        "metrics", "Console and metrics files", [](RunConfig& c) -> MetricsConfig& { return c.metrics; }, true);
    metrics.add("every", no_math, &MetricsConfig::every,
                {.help = "Steps between console lines and between records.",
                 .unit = "steps",
                 .range = one_or_more_steps,
                 .aliases = {"log_interval", "log_freq", "log_every"}});
    metrics.add("jsonl", no_math, &MetricsConfig::jsonl, {.help = "Write metrics.jsonl, one record per line."});
    metrics.add("tensorboard", no_math, &MetricsConfig::tensorboard,
                {.help = "Write TensorBoard event files.", .aliases = {"enable_tensorboard", "tensorboard_dir"}});
    metrics.add(
        "gpas_every", no_math, &MetricsConfig::gpas_every,
        {.help = "Steps between records of the gates and of the residual stream's variance per layer. 0: never.",
         .unit = "steps",
         .range = step_count});
    metrics.add(
        "nvtx", no_math, &MetricsConfig::nvtx,
        {.help = "Name phases, micro-batches, layers and collectives in a profiler's timeline (NVTX). GPUs only.",
         .aliases = {"nvtx_ranges", "enable_nvtx", "profile_ranges"},
         .unseen = "Only a profiler sees the names."});
    auto profile = schema.section<ProfileConfig>(
        "metrics.profile", "Steps that `nsys profile -c cudaProfilerApi` records; GPUs only",
        [](RunConfig& c) -> ProfileConfig& { return c.metrics.profile; }, true);
    profile.add("from", no_math, &ProfileConfig::from,
                {.help = "First recorded step. 0: no steps.",
                 .unit = "steps",
                 .range = step_count,
                 .aliases = {"profile_step_start", "profiling_start_step", "profile_start"},
                 .unseen = "Only a profiler sees where the steps begin."});
    profile.add("to", no_math, &ProfileConfig::to,
                {.help = "Last recorded step (inclusive).",
                 .unit = "steps",
                 .range = step_count,
                 .aliases = {"profile_step_end", "profiling_end_step", "profile_end"},
                 .unseen = "Only a profiler sees where the steps end."});
}

}  // namespace gpas::schema_parts
