// Times greedy generation with kept keys and values against a forward pass of the window per token, which is what a
// program without a key-value cache does. Random weights; the text does not matter. Both take turns in one process.
// Prints one JSON object.
#include "base/stopwatch.hpp"
#include "engine/run/generate.hpp"
#include "io/config/load.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace gpas;

struct Options {
    std::vector<std::string> config;
    std::int64_t prompt = 32;
    std::int64_t tokens = 512;
    std::int64_t recomputed = 16;
    int repeats = 3;
    int threads = 2;
};

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
    return values[values.size() / 2];
}

// Seconds per token of `count` forward passes of the window.
double recompute(Replica& replica, std::int64_t count) {
    const std::int64_t window = replica.shape().compute.sequence;
    const std::int64_t vocabulary = replica.shape().model.vocab_size;
    std::vector<std::int32_t> tokens(std::size_t(window), 1);
    std::vector<float> logits(static_cast<std::size_t>(vocabulary));
    const Stopwatch watch;
    for (std::int64_t i = 0; i < count; ++i)
        replica.logits_at(Tensor(logits.data(), Dtype::fp32, {1, vocabulary}),
                          Tensor(tokens.data(), Dtype::int32, {window}), window - 1);
    return watch.seconds() / double(count);
}

// Seconds per new token, the forward pass of the prompt included.
double continue_text(Replica& replica, const Options& options) {
    const Prompt prompt(std::size_t(options.prompt), 1);
    Mesh mesh = make_self_mesh();
    NextLogits next(replica, mesh);
    const Stopwatch watch;
    generate(next, {prompt}, {.count = options.tokens, .ends = {}, .sampling = {.temperature = 0.0}, .on_token = {}});
    return watch.seconds() / double(options.tokens);
}

void run(const Options& options) {
    const ConfigArguments arguments = split_config_arguments(options.config);
    const RunConfig config = load_config(arguments.files, arguments.overrides).values;
    Replica replica(config.model, config.optimizer,
                    {.batch = 1,
                     .sequence = options.prompt + options.tokens,
                     .dtype = storage_dtype(config.compute.dtype),
                     .training = false},
                    options.threads);
    initialise(replica.context, replica.store, config.seed, replica.data_group());
    std::vector<double> cached, recomputed;
    for (int i = 0; i <= options.repeats; ++i) {
        const double with = continue_text(replica, options);
        const double without = recompute(replica, options.recomputed);
        if (i == 0) continue;  // the first turn compiles the matrix products
        cached.push_back(with);
        recomputed.push_back(without);
    }
    fmt::print("{{\"cached\":[{:.6f}],\"recomputed\":[{:.6f}],\"ratio_of_medians\":{:.2f}}}\n", fmt::join(cached, ","),
               fmt::join(recomputed, ","), median(recomputed) / median(cached));
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Times generation with and without kept keys and values");
    app.add_option("CONFIG", options.config, "as for gpas train")->required();
    app.add_option("--prompt", options.prompt, "tokens of the prompt");
    app.add_option("--tokens", options.tokens, "new tokens");
    app.add_option("--recomputed", options.recomputed, "forward passes of the window per turn");
    app.add_option("--repeats", options.repeats, "timed turns");
    app.add_option("--threads", options.threads, "of this process");
    CLI11_PARSE(app, argc, argv);
    try {
        run(options);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench_generate: {}\n", error.what());
        return 1;
    }
    return 0;
}
