// The configuration of a run as plain data. The schema (schema.hpp) declares each key once with its type, unit,
// default, range and help. load.hpp reads YAML by the schema and fills these structs; nothing else parses YAML.
#pragma once

#include "kernels/math.hpp"  // GateFunction
#include "parallel/mesh_order.hpp"
#include "parallel/schedule/schedule.hpp"  // PipelineSchedule

#include <cstdint>
#include <string>
#include <vector>

namespace gpas {

// The rows of the architecture table (io/config/architecture.hpp). YAML uses the names of the paper's code for the
// rows that the code has.
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
    post_gpas,
    reordered,
    reordered_gpas
};
enum class LnsMode { init, output };          // 1/sqrt(l) multiplies: the initial norm weight, or the norm's output
enum class EmbeddingInit { scaled, normal };  // N(0, sqrt(2/5)) as in the reference code, or N(0, init_std)
enum class OutputInit { normal, scaled };     // o and down projections: N(0, init_std), or N(0, init_std / sqrt(2 L))

enum class QkNormKind { none, head, projection };  // RMSNorm of queries and keys (kernels/qk_norm.hpp)

struct GateConfig {
    GateFunction function = GateFunction::silu;
    double scale = 1.0;  // scaled_silu: scale * silu(g); leaky_relu: slope below zero
    double init = 0.0;
    bool per_sublayer = false;  // true: attention and MLP have a gate each; false: they share one gate per layer
    bool frozen = false;        // true: the optimizer does not update the gates
    bool stop_gradient = true;  // true (GPAS): the gate scales activations only; false: it scales gradients, too
};

// Llama 3's scaling of the rotary frequencies (RopeFrequencies in kernels/ops.hpp).
struct RopeScalingConfig {
    double factor = 1.0;  // 1: frequencies are not scaled
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
    std::int64_t kv_heads = 0;        // 0: equal to heads
    std::int64_t head_dim = 0;        // 0: hidden_size / heads
    std::int64_t sliding_window = 0;  // positions that a position attends to, itself included; 0: all earlier ones
    bool qkv_bias = false;            // biases of the query, key and value projections
    bool output_bias = false;         // bias of the attention-output projection
    bool mlp_bias = false;            // biases of the gate, up and down projections
    QkNormKind qk_norm = QkNormKind::none;
    bool tied_embeddings = false;
    double rope_base = 10000.0;
    RopeScalingConfig rope_scaling;
    double norm_eps = 1e-6;
    double init_std = 0.02;
    EmbeddingInit embedding_init = EmbeddingInit::scaled;
    OutputInit output_init = OutputInit::normal;
    LnsMode lns = LnsMode::init;
    std::int64_t mix_post_layers = -1;  // Mix-LN: number of Post-LN layers; -1: layers / 4
    GateConfig gate;
};

enum class SampleMode { packed, padded };
enum class TruncatedEnd { automatic, eos, text };  // padded: the last token of a truncated document

struct DataSource {
    std::string path;     // prefix of a .bin/.idx pair
    double weight = 1.0;  // share of the samples, relative to the other sources' weights
};

struct DataConfig {
    std::vector<DataSource> train;
    std::vector<DataSource> valid;  // empty: the last valid_fraction of each training source
    double valid_fraction = 0.01;
    std::string tokenizer;  // file for open_tokenizer(); only `gpas generate` and exports need it
    SampleMode mode = SampleMode::packed;
    TruncatedEnd truncated_end = TruncatedEnd::automatic;  // automatic: eos if the documents end with EOS, else text
    bool mask_documents = false;  // packed: attention and loss do not cross document boundaries
    std::int64_t sequence_length = 256;
};

enum class LossMean { tokens, micro_batches };  // equal weight in an update: every loss token, or every micro-batch

struct TrainingConfig {
    std::int64_t steps = 10000;
    std::int64_t global_batch_size = 512;  // samples per step, over all data-parallel ranks
    std::int64_t micro_batch_size = 8;     // samples per forward pass of one rank
    LossMean loss_mean = LossMean::tokens;
    std::int64_t stop_after = 0;  // save and end after this step; the schedule still covers `steps`; 0: run all steps
    enum class OnBadNumbers { stop, skip, roll_back } on_bad_numbers = OnBadNumbers::stop;
    std::int64_t max_skipped_steps = 10;  // this many skipped steps in a row end the run
    double end_margin_seconds = 120.0;    // save and end this long, plus one step, before the job's time limit
};

struct OptimizerConfig {
    double learning_rate = 1e-3;  // peak; the schedule scales it
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.0;
    bool decay_norms = false;  // gates and biases are never decayed
    bool decay_embeddings = true;
    double clip_grad = 0.0;       // global L2 norm; 0: off
    double clip_gate_grad = 0.0;  // L2 norm over all gates, after the global clip; 0: off
};

enum class ScheduleKind { constant, linear, cosine, inverse_sqrt, wsd };
enum class DecayShape { linear, cosine, exponential, minus_sqrt };

struct ScheduleConfig {
    ScheduleKind kind = ScheduleKind::cosine;
    std::int64_t warmup_steps = 1000;
    std::int64_t first_step = 1;  // schedule step of the first update: 0 (as in PyTorch) or 1
    double initial_ratio = 0.0;   // learning rate at step 0 of the warm-up, as a fraction of the peak
    double min_ratio = 0.1;       // learning rate at the end of the decay, as a fraction of the peak
    // linear, cosine: step at which min_ratio is reached (0: training.steps). wsd: length of the decay at the end.
    std::int64_t decay_steps = 0;
    DecayShape wsd_decay = DecayShape::minus_sqrt;
};

// Activations that backward recomputes. none: no activations. selective: those inside attention and MLP. full: all
// activations of a layer.
enum class Recompute { none, selective, full };

// How ranks that share a GPU communicate. staged: through host memory and MPI. nccl: through NCCL 2.30 or later.
enum class ShareGpu { staged, nccl };

struct ParallelConfig {
    std::int64_t tensor = 1;
    std::int64_t pipeline = 1;
    std::int64_t data = 0;  // 0: number of ranks / (tensor x pipeline)
    MeshOrder order = MeshOrder::tensor_data_pipeline;
    bool sequence_parallel = false;
    // With sequence_parallel: cut tensor-parallel messages and their matrix products into blocks of rows; one block is
    // sent while another is computed.
    bool tensor_overlap = false;
    PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
    std::int64_t virtual_chunks = 1;    // model chunks per pipeline stage; above 1 only with the interleaved schedule
    std::string stage_layers = "auto";  // or the number of layers per model chunk, in the order of the layers: "4,4,3"
    bool sharded_optimizer = true;      // ZeRO stage 1
    std::int64_t bucket_mib = 64;       // size of a gradient bucket; 0: one reduction after backward
    Recompute recompute = Recompute::none;
    double timeout_seconds = 600.0;  // longest wait for other ranks; 0: no limit
    bool verify_collectives = true;  // compare the ranks' calls before a collective moves data
    ShareGpu share_gpu = ShareGpu::staged;
};

enum class ComputeDtype { fp32, bf16 };
enum class DeviceKind { automatic, cpu, cuda };

struct ComputeConfig {
    DeviceKind device = DeviceKind::automatic;
    ComputeDtype dtype = ComputeDtype::fp32;
    std::int64_t threads = 0;  // per rank; 0: an equal share of the CPUs that the ranks of the node may use
    double peak_tflops = 0.0;  // per rank, for MFU; 0: data sheet of a known GPU (bf16), else measured at start-up
};

struct WatchConfig {
    double silent_seconds = 60.0;       // a rank that is silent for this long is lost; 0: only a rank that died is lost
    double straggler_factor = 1.3;      // straggler: own work takes this multiple of its stage's median; 0: no report
    std::int64_t straggler_steps = 50;  // steps over which the work of a rank is measured
};

// Detection of faults that do not show as NaN or Inf: loss spikes, computing errors, replicas whose weights differ.
struct GuardConfig {
    double spike_sigmas = 6.0;        // spike: this many standard deviations above the window's mean; 0: off
    std::int64_t spike_window = 128;  // steps
    bool spike_gradient = false;      // look for spikes in the gradient norm, too
    enum class OnSpike { warn, skip, roll_back, stop } on_spike = OnSpike::warn;
    bool recompute = true;             // recompute a step that has bad numbers or a spike
    std::int64_t weights_every = 100;  // steps between comparisons of the replicas' weights; 0: never
    enum class OnDifferentWeights { stop, roll_back } on_different_weights = OnDifferentWeights::stop;
    std::int64_t max_roll_backs = 3;  // per start of the run
};

struct EvaluationConfig {
    std::int64_t every = 500;        // steps; 0: never
    std::int64_t samples = 1000;     // held-out samples per evaluation; 0: all
    std::vector<std::string> tasks;  // files of multiple-choice questions (io/data/choice_task.hpp)
};

struct CheckpointConfig {
    std::int64_t every = 1000;      // steps; 0: only at the end
    std::int64_t keep_last = 3;     // 0: keep all
    std::int64_t keep_every = 0;    // multiples of this step are never deleted; 0: off
    double buffer_gib = 4.0;        // host memory per rank for saves in the background; 0: training waits for saves
    std::int64_t max_failures = 3;  // this many failed saves in a row end the run
    std::string resume = "auto";    // auto: newest complete checkpoint of the current branch; never; or a path
    std::string init_from;          // checkpoint to take initial weights from; empty: random initialisation
};

// The steps that `nsys profile -c cudaProfilerApi` records.
struct ProfileConfig {
    std::int64_t from = 0;  // first recorded step; 0: no steps
    std::int64_t to = 0;    // last recorded step (inclusive)
};

struct MetricsConfig {
    std::int64_t every = 1;  // steps between console lines and records
    bool jsonl = true;
    bool tensorboard = true;
    std::int64_t gpas_every = 10;  // steps between records of gates and residual-stream variances; 0: never
    bool nvtx = false;             // NVTX ranges in a profiler's timeline; GPUs only
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
