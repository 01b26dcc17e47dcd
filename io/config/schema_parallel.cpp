#include "io/config/schema_parts.hpp"

namespace gpas::schema_parts {

namespace {

void declare_layout(SectionBuilder<ParallelConfig>& parallel) {
    parallel.add("tensor", layout, &ParallelConfig::tensor,
                 {.help = "Tensor-parallel size.",
                  .unit = "ranks",
                  .range = {1, 65536},
                  .aliases = {"tensor_model_parallel_size", "tensor_parallel_degree", "tp", "tensor_parallel_size"}});
    parallel.add(
        "pipeline", layout, &ParallelConfig::pipeline,
        {.help = "Pipeline-parallel size.",
         .unit = "ranks",
         .range = {1, 65536},
         .aliases = {"pipeline_model_parallel_size", "pipeline_parallel_degree", "pp", "pipeline_parallel_size"}});
    parallel.add("data", layout, &ParallelConfig::data,
                 {.help = "Data-parallel size. 0: number of ranks / (tensor x pipeline).",
                  .unit = "ranks",
                  .range = {0, 1 << 24},
                  .aliases = {"data_parallel_size", "data_parallel_degree", "data_parallel_shard_degree", "dp"}});
    parallel.add("order", layout, &ParallelConfig::order,
                 {.help = "How ranks are numbered: the first dimension varies fastest, so its ranks are neighbours; "
                          "the last dimension spans nodes.",
                  .aliases = {"use_tp_pp_dp_mapping", "rank_order"},
                  .unseen = "It chooses which ranks are neighbours; the sums are the same."});
    parallel.add("sequence_parallel", layout, &ParallelConfig::sequence_parallel,
                 {.help = "Shard norms and the residual stream along the sequence over the tensor-parallel ranks.",
                  .aliases = {"enable_sequence_parallel", "sp"}});
    parallel.add("tensor_overlap", layout, &ParallelConfig::tensor_overlap,
                 {.help = "With sequence_parallel: cut tensor-parallel messages and their matrix products into blocks "
                          "of rows, and send one block while another is computed.",
                  .aliases = {"tp_comm_overlap", "enable_async_tensor_parallel"},
                  .unseen = "It cuts messages and products into blocks; only the order of sums differs."});
    parallel.add("schedule", layout, &ParallelConfig::schedule,
                 {.help = "Pipeline schedule. interleaved: several model chunks per stage. zb_h1: zero bubble.",
                  .aliases = {"pipeline_parallel_schedule", "pp_engine", "pipeline_schedule"}});
    parallel.add("virtual_chunks", layout, &ParallelConfig::virtual_chunks,
                 {.help = "interleaved: model chunks per pipeline stage.",
                  .unit = "chunks",
                  .range = {1, 1024},
                  .aliases = {"virtual_pipeline_model_parallel_size", "num_virtual_stages_per_pipeline_rank", "vpp"}});
    parallel.add("stage_layers", layout, &ParallelConfig::stage_layers,
                 {.help = "Layers per pipeline stage, such as 4,4,3 (with virtual_chunks: per model chunk, in the "
                          "order of the layers). auto: balanced by cost, including the LM head.",
                  .aliases = {"pipeline_model_parallel_layout", "decoder_first_pipeline_num_layers",
                              "pipeline_parallel_split_points", "module_fqns_per_model_part"}});
}

void declare_replicas_and_waits(SectionBuilder<ParallelConfig>& parallel) {
    parallel.add("sharded_optimizer", layout, &ParallelConfig::sharded_optimizer,
                 {.help = "Shard master weights and optimizer moments over the data-parallel ranks (ZeRO stage 1).",
                  .aliases = {"use_distributed_optimizer", "zero_stage", "zero1", "distributed_optimizer"}});
    parallel.add(
        "bucket_mib", layout, &ParallelConfig::bucket_mib,
        {.help = "Size of the gradient buckets that are reduced while backward runs. 0: one reduction after backward.",
         .unit = "MiB",
         .range = {0, 1 << 20},
         .aliases = {"ddp_bucket_size", "bucket_cap_mb", "reduce_bucket_size"},
         .unseen = "It cuts gradients into messages; the sums are the same, and a small model fits one bucket."});
    parallel.add("recompute", layout, &ParallelConfig::recompute,
                 {.help = "What backward recomputes to save memory. selective: activations inside attention and MLP. "
                          "full: all activations of each layer.",
                  .aliases = {"recompute_granularity", "activation_checkpoint", "activation_checkpointing",
                              "recompute_layer", "gradient_checkpointing"}});
    parallel.add(
        "timeout_seconds", layout, &ParallelConfig::timeout_seconds,
        {.help = "Longest wait for other ranks. After it, the job ends with a report of the missing ranks. 0: wait "
                 "indefinitely.",
         .unit = "seconds",
         .range = {0, 1e9},
         .aliases = {"distributed_timeout_minutes", "nccl_timeout", "init_timeout_seconds", "train_timeout_seconds"},
         .unseen = "It limits a wait that a healthy run does not have."});
    parallel.add("verify_collectives", layout, &ParallelConfig::verify_collectives,
                 {.help = "Compare the calls of the ranks before each collective moves data.",
                  .unseen = "It finds ranks that call different collectives; a healthy run has no such ranks."});
    parallel.add("share_gpu", layout, &ParallelConfig::share_gpu,
                 {.help = "How ranks that share a GPU communicate. staged: through host memory and MPI. nccl: through "
                          "NCCL 2.30 or later. For tests of several ranks on few GPUs.",
                  .unseen = "It chooses how messages travel; the sums are the same."});
}

}  // namespace

void declare_parallel(SchemaBuilder& schema) {
    auto parallel = schema.section<ParallelConfig>("parallel", "Layout of the ranks: tensor x pipeline x data",
                                                   [](RunConfig& c) -> ParallelConfig& { return c.parallel; });
    declare_layout(parallel);
    declare_replicas_and_waits(parallel);
}

void declare_compute(SchemaBuilder& schema) {
    auto compute = schema.section<ComputeConfig>("compute", "The device of each rank",
                                                 [](RunConfig& c) -> ComputeConfig& { return c.compute; });
    compute.add("device", later_steps, &ComputeConfig::device,
                {.help = "auto: a CUDA GPU if there is one, else the CPU.",
                 .aliases = {"backend"},
                 .unseen = "Without a GPU, auto is cpu."});
    compute.add("dtype", later_steps, &ComputeConfig::dtype,
                {.help = "Type of weights and activations in the forward and backward pass. Master weights, moments "
                         "and sums stay fp32.",
                 .aliases = {"precision", "bf16", "fp16", "mixed_precision", "torch_dtype", "mixed_precision_param"}});
    compute.add("threads", layout, &ComputeConfig::threads,
                {.help = "CPU threads per rank. 0: an equal share of the CPUs that the ranks of the node may use "
                         "(affinity mask, CPU quota).",
                 .unit = "threads",
                 .range = {0, 65536},
                 .aliases = {"omp_num_threads", "num_threads"},
                 .unseen = "Any number of threads computes the same bits."});
    compute.add("peak_tflops", no_math, &ComputeConfig::peak_tflops,
                {.help = "Peak of one rank's device, for model-FLOPs utilisation. 0: data-sheet value of a known GPU "
                         "(bf16), else measured at start-up.",
                 .unit = "TFLOP/s",
                 .range = not_negative});
}

}  // namespace gpas::schema_parts
