// Everything a run is described by, as plain data. The schema (schema.hpp) declares each key once with its type, unit,
// default, range and help, and fills this struct; nothing else parses YAML.
#pragma once

#include "kernels/math.hpp"  // GateFunction
#include "parallel/mesh_order.hpp"
#include "parallel/schedule/schedule.hpp"  // PipelineSchedule

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// The rows of the architecture table (io/config/architecture.hpp). Names in YAML are those of the paper's code.
enum class Architecture {
    post,
    deeppost,
    pre,
    sandwich,
    post_pre,
    lns,
    pre_gpas,
    lns_gpas,
    sandwich_gpas,
    deeppost_gpas,
    post_pre_gpas,
    post_gpas
};
enum class LnsMode { init, output };          // where 1/sqrt(l) stands: initial norm weight, or norm output
enum class EmbeddingInit { scaled, normal };  // N(0, sqrt(2/5)) as the reference, or N(0, init_std)
enum class OutputInit { normal, scaled };     // o and down: N(0, init_std), or N(0, init_std / sqrt(2 L))

struct GateConfig {
    GateFunction function = GateFunction::silu;
    double scale = 1.0;  // scaled_silu: scale * silu(g); leaky_relu: slope below zero
    double init = 0.0;
    bool per_sublayer = false;  // false: one gate a layer, used by attention and MLP
    bool frozen = false;
    bool stop_gradient = true;  // true is GPAS; false lets the gate scale gradients too
};

// Llama 3's change of the rotary frequencies (RopeFrequencies in kernels/ops.hpp).
struct RopeScalingConfig {
    double factor = 1.0;  // 1: none
    double low_freq_factor = 1.0;
    double high_freq_factor = 4.0;
    std::int64_t original_length = 8192;
};

struct ModelConfig {
    Architecture architecture = Architecture::pre_gpas;
    std::int64_t vocab_size = 32000;
    std::int64_t hidden_size = 512;
    std::int64_t ffn_size = 1368;
    std::int64_t layers = 12;
    std::int64_t heads = 8;
    std::int64_t kv_heads = 0;  // 0: as many as heads
    std::int64_t head_dim = 0;  // 0: hidden_size / heads
    bool tied_embeddings = false;
    double rope_base = 10000.0;
    RopeScalingConfig rope_scaling;
    double norm_eps = 1e-6;
    double init_std = 0.02;
    EmbeddingInit embedding_init = EmbeddingInit::scaled;
    OutputInit output_init = OutputInit::normal;
    LnsMode lns = LnsMode::init;
    std::int64_t mix_post_layers = -1;  // Mix-LN's k; -1: layers / 4
    GateConfig gate;
};

enum class SampleMode { packed, padded };
enum class TruncatedEnd { automatic, eos, text };  // the last token of a document that is cut (padded)

struct DataSource {
    std::string path;  // prefix of a .bin/.idx pair
    double weight = 1.0;
};

struct DataConfig {
    std::vector<DataSource> train;
    std::vector<DataSource> valid;  // empty: split off the end of each training source by valid_fraction
    double valid_fraction = 0.01;
    std::string tokenizer;  // SentencePiece .model; empty: eval and train need none, generate does
    SampleMode mode = SampleMode::packed;
    TruncatedEnd truncated_end = TruncatedEnd::automatic;  // padded: eos if the documents of the file end with one
    bool mask_documents = false;  // attention and loss do not cross document boundaries (packed)
    std::int64_t sequence_length = 256;
};

enum class LossMean { tokens, micro_batches };  // what has equal weight in an update

struct TrainingConfig {
    std::int64_t steps = 10000;
    std::int64_t global_batch_size = 512;  // samples per step, over all data-parallel ranks
    std::int64_t micro_batch_size = 8;     // samples per forward pass of one rank
    LossMean loss_mean = LossMean::tokens;
    std::int64_t stop_after = 0;  // end (with a checkpoint) after this step although the schedule goes on; 0: steps
    enum class OnBadNumbers { stop, skip, roll_back } on_bad_numbers = OnBadNumbers::stop;
    std::int64_t max_skipped_steps = 10;  // skip: stop after this many in a row
    double end_margin_seconds = 120.0;    // before the end of the job's time the run saves and ends
};

struct OptimizerConfig {
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.0;
    bool decay_norms = false;  // gates are never decayed
    bool decay_embeddings = true;
    double clip_grad = 0.0;       // global L2 norm; 0: off
    double clip_gate_grad = 0.0;  // L2 norm over all gates, after the global clip; 0: off
};

enum class ScheduleKind { constant, linear, cosine, inverse_sqrt, wsd };
enum class DecayShape { linear, cosine, exponential, minus_sqrt };

struct ScheduleConfig {
    ScheduleKind kind = ScheduleKind::cosine;
    std::int64_t warmup_steps = 1000;
    std::int64_t first_step = 1;  // of the schedule, for the first update; 0 as in PyTorch
    double initial_ratio = 0.0;   // learning rate at step 0 of the warm-up, as a share of the peak
    double min_ratio = 0.1;       // floor, as a share of the peak
    std::int64_t decay_steps =
        0;  // linear, cosine: length of the schedule (0: training.steps); wsd: length of the decay at its end
    DecayShape wsd_decay = DecayShape::minus_sqrt;
};

// What backward computes again instead of keeping it: nothing, what is inside attention and MLP, or all of a layer.
enum class Recompute { none, selective, full };

// How ranks that share a GPU talk: through host memory and MPI, or through NCCL (2.30 or later).
enum class ShareGpu { staged, nccl };

struct ParallelConfig {
    std::int64_t tensor = 1;
    std::int64_t pipeline = 1;
    std::int64_t data = 0;  // 0: what the number of ranks leaves
    MeshOrder order = MeshOrder::tensor_data_pipeline;
    bool sequence_parallel = false;
    bool tensor_overlap = false;  // cut tensor-parallel messages and the products beside them into row blocks
    PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
    std::int64_t virtual_chunks = 1;    // model chunks of a stage; more than one only in the interleaved schedule
    std::string stage_layers = "auto";  // or the number of layers of each model stage: "4,4,3"
    bool sharded_optimizer = true;      // ZeRO stage 1
    std::int64_t bucket_mib = 64;       // gradients that are reduced together; 0: all at once
    Recompute recompute = Recompute::none;
    double timeout_seconds = 600.0;  // longest wait for other ranks; 0: no limit
    bool verify_collectives = true;
    ShareGpu share_gpu = ShareGpu::staged;
};

enum class ComputeDtype { fp32, bf16 };
enum class DeviceKind { automatic, cpu, cuda };

struct ComputeConfig {
    DeviceKind device = DeviceKind::automatic;
    ComputeDtype dtype = ComputeDtype::fp32;
    std::int64_t threads = 0;  // per rank; 0: the cores this rank may use, shared among the ranks of the node
    double peak_tflops = 0.0;  // per rank, for MFU; 0: measured at start-up (CPU)
};

struct WatchConfig {
    double silent_seconds = 60.0;   // a rank that is not heard of for so long is lost; 0: only what has died is
    double straggler_factor = 1.3;  // named: ranks whose own work takes so much longer than that of others; 0: none
    std::int64_t straggler_steps = 50;
};

// Numbers that go wrong without being NaN or Inf.
struct GuardConfig {
    double spike_sigmas = 6.0;        // 0: spikes are not looked for
    std::int64_t spike_window = 128;  // steps
    bool spike_gradient = false;      // the gradient's norm counts too
    enum class OnSpike { warn, skip, roll_back, stop } on_spike = OnSpike::warn;
    bool recompute = true;             // a suspicious step is computed again
    std::int64_t weights_every = 100;  // steps between comparisons of replicas; 0: never
    enum class OnDifferentWeights { stop, roll_back } on_different_weights = OnDifferentWeights::stop;
    std::int64_t max_roll_backs = 3;  // of one start
};

struct EvaluationConfig {
    std::int64_t every = 500;     // steps; 0: never
    std::int64_t samples = 1000;  // held-out samples per evaluation; 0: all
};

struct CheckpointConfig {
    std::int64_t every = 1000;      // steps; 0: only at the end
    std::int64_t keep_last = 3;     // 0: keep all
    std::int64_t keep_every = 0;    // steps whose multiples are kept for good; 0: none
    double buffer_gib = 4.0;        // host memory of a rank for saves beside the training; 0: training waits
    std::int64_t max_failures = 3;  // saves in a row that may fail
    std::string resume = "auto";    // auto: newest complete one in the run directory; never; or a path
    std::string init_from;          // checkpoint to take initial weights from; empty: random initialisation
};

// Of a profiler that is started with the run: the steps it records; 0, 0: it is told nothing.
struct ProfileConfig {
    std::int64_t from = 0;
    std::int64_t to = 0;  // and this one
};

struct MetricsConfig {
    std::int64_t every = 1;  // steps between console lines and records
    bool jsonl = true;
    bool tensorboard = true;
    std::int64_t gpas_every = 10;  // steps between records of gates and residual-stream variances; 0: never
    bool nvtx = false;             // names for a profiler's timeline (GPU)
    ProfileConfig profile;
};

struct RunConfig {
    std::string name = "run";
    std::string directory = "runs/run";  // checkpoints, metrics, the resolved config
    std::uint64_t seed = 1234;
    ModelConfig model;
    DataConfig data;
    TrainingConfig training;
    OptimizerConfig optimizer;
    ScheduleConfig schedule;
    ParallelConfig parallel;
    ComputeConfig compute;
    WatchConfig watch;
    GuardConfig guard;
    EvaluationConfig evaluation;
    CheckpointConfig checkpoint;
    MetricsConfig metrics;
};

}  // namespace gpas
