// Times every costly operation of a training step separately, at the shapes of a model. Prints the median time, and the
// fraction of the bound that it reaches. The bound is the measured rate of a large copy (for operations limited by
// memory) or of a large matrix product (for operations limited by arithmetic). Prints one JSON object per row, then all
// rows as a Markdown table.
#include "base/error.hpp"
#include "bench/gpu_timer.hpp"
#include "kernels/cuda/gpu.hpp"
#include "kernels/cuda/matmul.hpp"
#include "kernels/ops.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace gpas;
using bench::GpuTimer;

constexpr std::int64_t mebibyte = 1 << 20;

struct Shape {
    std::string name;
    std::int64_t hidden, heads, head_dim, vocabulary, sequence, batch;
    std::vector<std::int64_t> ffn;          // several: compares a padded size with a rounder size
    std::vector<std::int64_t> loss_tokens;  // tokens whose logits the LM head computes at a time
    std::int64_t optimizer_elements, copy_bytes, square, memory_bytes;
    std::int64_t tokens() const { return sequence * batch; }
    AttentionShape attention() const {
        return {.sequence = sequence, .batch = batch, .heads = heads, .kv_heads = heads, .head_dim = head_dim};
    }
};

// A run computes the logits of 512 tokens at a time.
const std::vector<Shape> shapes = {
    {"tiny", 64, 4, 16, 500, 32, 2, {172}, {32}, 100'000, 16 * mebibyte, 256, 512 * mebibyte},
    {"1b", 2048, 32, 64, 32000, 2048, 8, {5464, 5504}, {512, 4096}, 1 << 27, 1024 * mebibyte, 8192, 6144 * mebibyte},
    {"7b", 4096, 32, 128, 32000, 4096, 4, {11008}, {512, 4096}, 1 << 27, 1024 * mebibyte, 8192, 6144 * mebibyte}};

struct Options {
    std::string device = "auto";
    std::vector<std::string> shapes = {"1b", "7b"};
    std::string dtype = "bf16";
    std::string only;
    int runs = 20;
    int warmup = 3;
    int threads = 2;
    std::int64_t window = 0;  // of attention; 0: the whole sequence
};

// The work that limits an operation's time from below.
struct Work {
    enum Kind { bytes, operations } kind;
    double amount;
};
Work moves(std::int64_t bytes) { return {Work::bytes, double(bytes)}; }
Work multiplies(std::int64_t m, std::int64_t n, std::int64_t k) {
    return {Work::operations, 2.0 * double(m) * double(n) * double(k)};
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2.0;
}

// Times operations with cold caches.
class Stopwatch {
public:
    explicit Stopwatch(Context& context) : context_(context), flush_(flush_bytes, context.device()) {
        if (!context.on_cpu()) gpu_.emplace(context);
        buffer_ = flush_.allocate(Dtype::int32, {flush_bytes / 4});
    }
    double seconds(const std::function<void()>& operation) {
        clear(context_, buffer_);
        if (gpu_) {  // while the GPU clears the buffer, the host enqueues the operation
            gpu_->start();
            operation();
            return gpu_->stop();
        }
        const auto begin = std::chrono::steady_clock::now();
        operation();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

private:
    static constexpr std::int64_t flush_bytes = 256 * mebibyte;  // several times the L2 cache of any GPU
    Context& context_;
    Arena flush_;
    Tensor buffer_;
    std::optional<GpuTimer> gpu_;
};

// Allocates tensors of random numbers. With zeros, a GPU would run at a higher clock than in training.
class Memory {
public:
    Memory(Context& context, std::int64_t bytes)
        : context_(context), pool_arena_(6 * pool_elements, context.device()), arena_(bytes, context.device()) {
        pool_[0] = pool_arena_.allocate(Dtype::fp32, {pool_elements});
        pool_[1] = pool_arena_.allocate(Dtype::bf16, {pool_elements});
        fill_normal(context, pool_[0], 1, 0, 1.0F);
        cast(context, pool_[1], pool_[0]);
    }
    Arena& arena() { return arena_; }
    Tensor empty(Dtype dtype, std::initializer_list<std::int64_t> dims) { return arena_.allocate(dtype, dims); }
    Tensor normal(Dtype dtype, std::initializer_list<std::int64_t> dims, float stddev = 1.0F) {
        const Tensor x = empty(dtype, dims);
        const Tensor flat = x.view({x.elements()});
        for (std::int64_t begin = 0; begin < x.elements(); begin += pool_elements) {
            const std::int64_t end = std::min(begin + pool_elements, x.elements());
            copy(context_, flat.slice(begin, end), pool_[dtype == Dtype::bf16 ? 1 : 0].slice(0, end - begin));
        }
        if (stddev != 1.0F) scale(context_, x, stddev);
        return x;
    }
    Tensor constant(Dtype dtype, std::initializer_list<std::int64_t> dims, float value) {
        const Tensor x = empty(dtype, dims);
        fill(context_, x, value);
        return x;
    }
    Tensor integers(const std::vector<std::int32_t>& values) {
        const Tensor x = empty(Dtype::int32, {std::int64_t(values.size())});
        copy(context_, x, Tensor(const_cast<std::int32_t*>(values.data()), Dtype::int32, {x.elements()}));
        return x;
    }

private:
    static constexpr std::int64_t pool_elements = 1 << 22;
    Context& context_;
    Arena pool_arena_, arena_;
    Tensor pool_[2];
};

class Bench {
public:
    Bench(Context& context, const Options& options, Dtype dtype)
        : context_(context), options_(options), dtype_(dtype), stopwatch_(context) {}

    void run(const Shape& shape);
    void print_table() const;
    bool failed() const { return failed_; }

private:
    struct Row {
        std::string operation, model, shape;
        double seconds, lowest, highest, rate, share;
        Work work;
    };

    std::optional<Row> time(const std::string& operation, const std::string& shape, Work work,
                            const std::function<void()>& call);
    bool wanted(const std::string& operation) const {
        return operation.find(options_.only) != std::string::npos || rows_.size() < 2;  // always runs the two bounds
    }
    void choose(const std::vector<cuda::MatmulKey>& products);
    void measure_bounds(const Shape& shape, Memory& memory);
    void stream(const Shape& shape, Memory& memory);
    void feed_forward(const Shape& shape, Memory& memory);
    void attend(const Shape& shape, Memory& memory);
    void embed(const Shape& shape, Memory& memory);
    void loss(const Shape& shape, Memory& memory);
    void optimizer(const Shape& shape, Memory& memory);
    void products(const Shape& shape, Memory& memory);
    void product(const std::string& of, std::int64_t t, std::int64_t n, std::int64_t k, Memory& memory);

    Context& context_;
    const Options& options_;
    Dtype dtype_;
    cuda::MatmulChoices choices_;
    Stopwatch stopwatch_;
    std::string model_;
    double copy_rate_ = 0.0;     // bytes per second, read and written
    double product_rate_ = 0.0;  // operations per second
    std::vector<Row> rows_;
    bool failed_ = false;
};

std::optional<Bench::Row> Bench::time(const std::string& operation, const std::string& shape, Work work,
                                      const std::function<void()>& call) {
    if (!wanted(operation)) return {};
    std::vector<double> seconds;
    try {
        for (int i = 0; i < options_.warmup + options_.runs; ++i) {
            const double took = stopwatch_.seconds(call);
            if (i >= options_.warmup) seconds.push_back(took);
        }
    } catch (const Error& error) {
        fmt::print("{}\n", nlohmann::json{{"operation", operation}, {"shape", shape}, {"error", error.what()}}.dump());
        failed_ = true;
        return {};
    }
    const auto [lowest, highest] = std::ranges::minmax(seconds);
    Row row{operation, model_, shape, median(seconds), lowest, highest, 0.0, 0.0, work};
    row.rate = work.amount / row.seconds;
    const double bound = work.kind == Work::bytes ? copy_rate_ : product_rate_;
    row.share = bound > 0.0 ? row.rate / bound : 1.0;
    fmt::print("{}\n", nlohmann::json{{"operation", operation},
                                      {"model", model_},
                                      {"shape", shape},
                                      {"dtype", dtype_name(dtype_)},
                                      {"runs", options_.runs},
                                      {"seconds", row.seconds},
                                      {"lowest", lowest},
                                      {"highest", highest},
                                      {"bound", work.kind == Work::bytes ? "bytes" : "operations"},
                                      {"amount", work.amount},
                                      {"share_of_bound", row.share}}
                           .dump());
    std::fflush(stdout);
    rows_.push_back(row);
    return row;
}

// Chooses the algorithms of matrix products, as a run does before its first step.
void Bench::choose(const std::vector<cuda::MatmulKey>& products) {
    if (context_.on_cpu()) return;
    const std::vector<cuda::MatmulChoice> fastest = cuda::fastest_matmuls(context_, products);
    for (std::size_t i = 0; i < products.size(); ++i) choices_[products[i]] = fastest[i];
    cuda::take_matmul_choices(context_, choices_);
}

void Bench::measure_bounds(const Shape& shape, Memory& memory) {
    const Arena::Scope scope(memory.arena());
    const Tensor from = memory.normal(Dtype::fp32, {shape.copy_bytes / 4});
    const Tensor to = memory.empty(Dtype::fp32, {shape.copy_bytes / 4});
    if (const auto row = time("copy", fmt::format("{} MiB", shape.copy_bytes / mebibyte), moves(2 * shape.copy_bytes),
                              [&] { copy(context_, to, from); }))
        copy_rate_ = row->rate;
    const std::int64_t n = shape.square;
    const Tensor x = memory.normal(dtype_, {n, n}), w = memory.normal(dtype_, {n, n}), y = memory.empty(dtype_, {n, n});
    choose({cuda::key_of_matmul(y, x, w)});
    if (const auto row = time("matmul, square", fmt::format("{0}x{0}x{0}", n), multiplies(n, n, n),
                              [&] { matmul(context_, y, x, w); }))
        product_rate_ = row->rate;
}

void Bench::stream(const Shape& shape, Memory& memory) {
    const Arena::Scope scope(memory.arena());
    const std::int64_t t = shape.tokens(), c = shape.hidden;
    const std::string text = fmt::format("[{}, {}]", t, c);
    const Tensor x = memory.normal(dtype_, {t, c}), b = memory.normal(dtype_, {t, c}),
                 d = memory.normal(dtype_, {t, c});
    const Tensor x2 = memory.empty(dtype_, {t, c}), n = memory.empty(dtype_, {t, c});
    const Tensor rstd = memory.empty(Dtype::fp32, {t}), dw = memory.constant(Dtype::fp32, {c}, 0.0F);
    const Tensor gates = memory.constant(Dtype::fp32, {2}, 0.5F), dgates = memory.constant(Dtype::fp32, {2}, 0.0F);
    const Norm norm{.w = memory.constant(dtype_, {c}, 1.0F)};
    const Gate gate{.g = gates.as<float>()};
    const ResidualStream h{.x = x, .gate = gate};
    const ResidualArgs with_norm{.x2 = x2, .n = n, .rstd = rstd, .h = h, .b = b, .out = gate, .norm = norm};
    const std::int64_t pass = x.bytes();
    time("rmsnorm", text, moves(2 * pass + 4 * t), [&] { rmsnorm(context_, n, rstd, h, norm); });
    time("residual_rmsnorm", text, moves(4 * pass + 4 * t), [&] { residual(context_, with_norm); });
    rmsnorm(context_, n, rstd, h, norm);
    const RmsnormBackwardArgs backward{
        .d = d, .dw = dw, .dgate = {.stream = dgates.as<float>()}, .dn = b, .h = h, .rstd = rstd, .norm = norm};
    time("rmsnorm_backward", text, moves(4 * pass + 4 * t), [&] { rmsnorm_backward(context_, backward); });
}

void Bench::feed_forward(const Shape& shape, Memory& memory) {
    for (const std::int64_t f : shape.ffn) {
        const Arena::Scope scope(memory.arena());
        const std::int64_t t = shape.tokens();
        const std::string text = fmt::format("[{}, {}]", t, f);
        const Tensor gate_up = memory.normal(dtype_, {t, 2 * f}), dact = memory.normal(dtype_, {t, f});
        const Tensor act = memory.empty(dtype_, {t, f}), dgate_up = memory.empty(dtype_, {t, 2 * f});
        time("swiglu", text, moves(3 * act.bytes()), [&] { swiglu(context_, act, gate_up); });
        time("swiglu_backward", text, moves(5 * act.bytes()),
             [&] { swiglu_backward(context_, dgate_up, dact, gate_up); });
    }
}

void Bench::attend(const Shape& shape, Memory& memory) {
    const Arena::Scope scope(memory.arena());
    AttentionShape a = shape.attention();
    a.window = options_.window;
    const std::int64_t t = shape.tokens(), width = a.heads * a.head_dim;
    std::string text = fmt::format("{} x {}, {} heads of {}", a.batch, a.sequence, a.heads, a.head_dim);
    if (a.window > 0) text += fmt::format(", window {}", a.window);
    const Tensor qkv = memory.normal(dtype_, {t, a.qkv_columns()}), dqkv = memory.empty(dtype_, {t, a.qkv_columns()});
    const Tensor o = memory.empty(dtype_, {t, width}), d_o = memory.normal(dtype_, {t, width});
    const Tensor lse = memory.empty(Dtype::fp32, {a.batch * a.heads, a.sequence});
    const Tensor cos = memory.empty(Dtype::fp32, {a.sequence, a.head_dim / 2}),
                 sin = memory.empty(Dtype::fp32, {a.sequence, a.head_dim / 2});
    rope_table(context_, cos, sin, {});
    time("rope", text, moves(2 * qkv.bytes() / a.qkv_columns() * (a.heads + a.kv_heads) * a.head_dim),
         [&] { rope(context_, qkv, a, cos, sin, false); });
    // Per pair of a query and a visible key: two products of length head_dim in forward, and five in backward.
    const std::int64_t keys = a.window > 0 ? std::min(a.window, a.sequence) : a.sequence;  // of the last query
    const std::int64_t pairs = a.batch * a.heads * (keys * (keys + 1) / 2 + (a.sequence - keys) * keys);
    time("attention", text, multiplies(pairs, 2, a.head_dim),
         [&] { attention(context_, {.o = o, .lse = lse, .qkv = qkv, .shape = a}); });
    const AttentionBackwardArgs backward{.dqkv = dqkv, .d_o = d_o, .o = o, .lse = lse, .qkv = qkv, .shape = a};
    time("attention_backward", text, multiplies(pairs, 5, a.head_dim), [&] { attention_backward(context_, backward); });
}

void Bench::embed(const Shape& shape, Memory& memory) {
    const Arena::Scope scope(memory.arena());
    const std::int64_t t = shape.tokens(), c = shape.hidden, v = shape.vocabulary;
    const std::string text = fmt::format("[{}, {}] of {}", t, c, v);
    std::mt19937 generator(1);
    std::vector<std::int32_t> values(static_cast<std::size_t>(t));
    for (std::int32_t& id : values) id = std::int32_t(generator() % std::uint32_t(v));
    const auto rows = std::int64_t(std::set(values.begin(), values.end()).size());  // rows of the table that are read
    const Tensor ids = memory.integers(values), h = memory.normal(dtype_, {t, c});
    const Tensor w = memory.normal(dtype_, {v, c}), dw = memory.constant(Dtype::fp32, {v, c}, 0.0F);
    time("embedding", text, moves(h.bytes() + rows * c * bytes_per_element(dtype_)),
         [&] { embedding(context_, h, w, ids, 0); });
    time("embedding_backward", text, moves(h.bytes() + 2 * rows * c * 4),
         [&] { embedding_backward(context_, dw, h, ids, 0); });
}

void Bench::loss(const Shape& shape, Memory& memory) {
    for (const std::int64_t t : shape.loss_tokens) {
        const Arena::Scope scope(memory.arena());
        const std::int64_t v = shape.vocabulary;
        const std::string text = fmt::format("[{}, {}]", t, v);
        std::vector<std::int32_t> values(static_cast<std::size_t>(t));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::int32_t(std::int64_t(i) * 7 % v);
        const Tensor labels = memory.integers(values), logits = memory.normal(Dtype::fp32, {t, v});
        const Tensor stats = memory.empty(Dtype::fp32, {t, 3}), dlogits = memory.empty(dtype_, {t, v});
        time("cross_entropy_stats", text, moves(logits.bytes()),
             [&] { cross_entropy_stats(context_, stats, logits, labels, 0); });
        const CrossEntropyBackwardArgs backward{
            .dlogits = dlogits, .logits = logits, .stats = stats, .labels = labels, .factor = 1.0F / float(t)};
        time("cross_entropy_backward", text, moves(logits.bytes() + dlogits.bytes()),
             [&] { cross_entropy_backward(context_, backward); });
    }
}

void Bench::optimizer(const Shape& shape, Memory& memory) {
    const Arena::Scope scope(memory.arena());
    const std::int64_t n = shape.optimizer_elements;
    const Tensor w = memory.normal(Dtype::fp32, {n}, 0.02F), gradient = memory.normal(Dtype::fp32, {n}, 0.01F);
    const Tensor m = memory.constant(Dtype::fp32, {n}, 0.0F), v = memory.constant(Dtype::fp32, {n}, 0.0F);
    const Tensor compute = dtype_ == Dtype::bf16 ? memory.empty(Dtype::bf16, {n}) : Tensor();
    const Tensor sum = memory.empty(Dtype::fp64, {1});
    clear(context_, sum);
    const AdamwPiece piece{.w = w, .m = m, .v = v, .compute = compute, .gradient = gradient};
    const std::string text = fmt::format("[{}]", n);
    time("adamw", text, moves(n * (7 * 4 + (compute ? 2 : 0))),
         [&] { adamw(context_, {&piece, 1}, {.learning_rate = 1e-3}); });
    time("squared_norm", text, moves(n * 4), [&] { squared_norm(context_, sum, {&gradient, 1}); });
}

void Bench::product(const std::string& of, std::int64_t t, std::int64_t n, std::int64_t k, Memory& memory) {
    if (!wanted("matmul") && !wanted("matmul_dx") && !wanted("matmul_dw")) return;
    const Arena::Scope scope(memory.arena());
    const Tensor x = memory.normal(dtype_, {t, k}), w = memory.normal(dtype_, {n, k}, 0.02F);
    const Tensor y = memory.normal(dtype_, {t, n}), dx = memory.empty(dtype_, {t, k});
    const Tensor dw = memory.constant(Dtype::fp32, {n, k}, 0.0F);
    const std::string text = fmt::format("{}: {} x {} x {}", of, t, n, k);
    const Work work = multiplies(t, n, k);
    choose({cuda::key_of_matmul(y, x, w), cuda::key_of_matmul_dx(dx, y, w), cuda::key_of_matmul_dw(dw, y, x)});
    time("matmul_dx", text, work, [&] { matmul_dx(context_, dx, y, w); });
    time("matmul_dw", text, work, [&] { matmul_dw(context_, dw, y, x); });
    time("matmul", text, work, [&] { matmul(context_, y, x, w); });
}

void Bench::products(const Shape& shape, Memory& memory) {
    const std::int64_t t = shape.tokens(), c = shape.hidden;
    product("qkv", t, shape.attention().qkv_columns(), c, memory);
    product("attention output", t, c, shape.heads * shape.head_dim, memory);
    for (const std::int64_t f : shape.ffn) {
        product("gate and up", t, 2 * f, c, memory);
        product("down", t, c, f, memory);
    }
    for (const std::int64_t rows : shape.loss_tokens) product("LM head", rows, shape.vocabulary, c, memory);
}

void Bench::run(const Shape& shape) {
    Memory memory(context_, shape.memory_bytes);
    model_ = shape.name;
    if (rows_.empty()) measure_bounds(shape, memory);
    stream(shape, memory);
    feed_forward(shape, memory);
    attend(shape, memory);
    embed(shape, memory);
    loss(shape, memory);
    optimizer(shape, memory);
    products(shape, memory);
}

void Bench::print_table() const {
    const std::string device =
        context_.on_cpu() ? fmt::format("the CPU, {} threads", context_.threads()) : cuda::device_name();
    fmt::print(
        "\n{} on {}: median of {} runs, caches flushed before each. A large copy: {:.0f} GB/s; a large product: "
        "{:.1f} TFLOP/s.\n\n",
        dtype_name(dtype_), device, options_.runs, copy_rate_ * 1e-9, product_rate_ * 1e-12);
    fmt::print(
        "| model | operation | shape | µs | lowest … highest | rate | of the bound |\n|---|---|---|---|---|---|---|\n");
    for (const Row& row : rows_) {
        const std::string rate = row.work.kind == Work::bytes ? fmt::format("{:.0f} GB/s", row.rate * 1e-9)
                                                              : fmt::format("{:.1f} TFLOP/s", row.rate * 1e-12);
        fmt::print("| {} | {} | {} | {:.1f} | {:.1f} … {:.1f} | {} | {:.0f} % |\n", row.model, row.operation, row.shape,
                   row.seconds * 1e6, row.lowest * 1e6, row.highest * 1e6, rate, 100.0 * row.share);
    }
}

const Shape& shape_named(const std::string& name) {
    const auto found = std::ranges::find(shapes, name, &Shape::name);
    if (found == shapes.end()) fail(ExitCode::usage, "--shape: found {}, expected tiny, 1b or 7b", name);
    return *found;
}

Device device_of(const Options& options) {
    std::string why;
    const bool gpu = options.device != "cpu" && cuda::device_count(&why) > 0;
    if (options.device == "cuda" && !gpu) fail(ExitCode::environment, "--device: found cuda, but: {}", why);
    if (gpu) cuda::choose_device(0);
    return gpu ? Device::cuda : Device::cpu;
}

// Scratch memory for the largest shape, in bytes.
std::int64_t scratch_for(const Options& options, Device device, Dtype dtype) {
    std::int64_t bytes = 0;
    for (const std::string& name : options.shapes) {
        const Shape& shape = shape_named(name);
        const std::int64_t widest =
            std::max({2 * std::ranges::max(shape.ffn), shape.vocabulary, shape.attention().qkv_columns()});
        bytes = std::max(bytes, scratch_bytes({.tokens = shape.tokens(),
                                               .columns = widest,
                                               .vocabulary = shape.vocabulary,
                                               .attention = shape.attention(),
                                               .dtype = dtype,
                                               .threads = options.threads,
                                               .device = device}));
    }
    return bytes;
}

bool run(const Options& options) {
    const Device device = device_of(options);
    Dtype dtype = options.dtype == "fp32" ? Dtype::fp32 : Dtype::bf16;
    if (!has_native_products(device, dtype)) {
        fmt::print(stderr, "bench_kernels: no {} products here: fp32\n", dtype_name(dtype));
        dtype = Dtype::fp32;
    }
    Context context(options.threads, Arena(scratch_for(options, device, dtype), device));
    Bench bench(context, options, dtype);
    for (const std::string& name : options.shapes) bench.run(shape_named(name));
    bench.print_table();
    return !bench.failed();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("bench_kernels: times of the operations of a training step, and how near they come to their bounds");
    Options options;
    app.add_option("--device", options.device, "auto, cpu or cuda")->check(CLI::IsMember({"auto", "cpu", "cuda"}));
    app.add_option("--shape", options.shapes, "of tiny, 1b, 7b")->check(CLI::IsMember({"tiny", "1b", "7b"}));
    app.add_option("--dtype", options.dtype, "bf16 or fp32")->check(CLI::IsMember({"bf16", "fp32"}));
    app.add_option("--only", options.only, "operations with this in their name, and the two bounds");
    app.add_option("--runs", options.runs, "timed runs of each")->check(CLI::PositiveNumber);
    app.add_option("--warmup", options.warmup, "runs before");
    app.add_option("--window", options.window, "of attention, in tokens; 0: the whole sequence")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--threads", options.threads, "of this process")->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argc, argv);
    try {
        return run(options) ? 0 : 1;
    } catch (const Error& error) {
        fmt::print(stderr, "bench_kernels: {}\n", error.what());
        return int(error.code());
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_kernels: {}\n", error.what());
        return 1;
    }
}
