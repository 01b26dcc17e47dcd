// Measures the links between ranks, collectives and matrix products.
#include "engine/preflight/gather.hpp"
#include "engine/preflight/job.hpp"
#include "engine/preflight/speed.hpp"
#include "engine/run/threads.hpp"
#include "kernels/ops.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace gpas::preflight {
namespace {

constexpr std::int64_t mebibyte = std::int64_t(1) << 20;
constexpr std::int64_t link_bytes = 8 * mebibyte;
constexpr std::int64_t reduced_bytes = 16 * mebibyte;
constexpr double product_seconds = 1.0;

// On the CPU a group of all ranks is not measured separately: it uses the same links as the world.
bool is_news(Job& job, const Communicator& group) {
    return job.device != Device::cpu || group.size() < job.world.size();
}

// Times an all-reduce of the world, or of all groups of one kind, which are compared with each other.
void check_all_reduce(Job& job, Communicator& group, Context& context, const char* name) {
    const double ranks = group.size();
    if (ranks == 1) return;
    const std::vector<double> times =
        gather(job.world, all_reduce_seconds(group, context, reduced_bytes), "times of all_reduce");
    const double rate = double(reduced_bytes) / median(times);
    job.report.add(name,
                   fmt::format("{} MiB over {} ranks: {} (algorithm), {} (bus)", reduced_bytes / mebibyte, ranks,
                               rate_text(rate), rate_text(rate * 2.0 * (ranks - 1.0) / ranks)),
                   judge_times(fmt::format("all-reduce of {} MiB", reduced_bytes / mebibyte), times, job.hosts,
                               job.options.slow_factor));
}

void check_neighbours(Job& job, Communicator& stages, Context& context) {
    const std::vector<double> times =
        gather(job.world, neighbour_seconds(stages, context, link_bytes), "times between stages");
    job.report.add("stages",
                   fmt::format("{} MiB from each stage to the next: {}", link_bytes / mebibyte,
                               rate_text(double(link_bytes) / median(times))),
                   judge_times("messages between pipeline stages", times, job.hosts, job.options.slow_factor));
}

void check_products(Job& job, Context& context) {
    const ProductShape shape{.rows = job.device == Device::cpu ? 512 : 8192,  // enough rows to use the whole device
                             .out = job.config().model.ffn_size,
                             .in = job.config().model.hidden_size,
                             .dtype = storage_dtype(job.config().compute.dtype)};
    const std::vector<double> rates =
        gather(job.world, product_rate(job.world, context, shape, product_seconds), "rates of matrix products");
    const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
    job.report.add(
        "products",
        fmt::format("{} x {} x {} in {}: {:.4g} GFLOP/s per rank (from {:.4g} to {:.4g})", shape.rows, shape.out,
                    shape.in, dtype_name(shape.dtype), median(rates) * 1e-9, *least * 1e-9, *most * 1e-9),
        judge_products(rates, job.hosts));
}

}  // namespace

void check_links(Job& job) {
    if (job.world.size() == 1) return;
    const std::vector<MeasuredLink> links =
        measure_links(job.world, link_rounds(job.hosts), job.options.quick ? 0 : link_bytes);
    std::vector<double> seconds, rates;
    for (const MeasuredLink& link : links) {
        seconds.push_back(link.seconds);
        rates.push_back(link.bytes_per_second);
    }
    std::string text = fmt::format("{}, a small message takes {}", links.size(), seconds_text(median(seconds)));
    if (!job.options.quick)
        text += fmt::format(", {} MiB transfer at {} (slowest link {})", link_bytes / mebibyte,
                            rate_text(median(rates)), rate_text(*std::min_element(rates.begin(), rates.end())));
    // Latency alone is too noisy to judge a link: without bandwidths the links are only tested for errors.
    job.report.add("links", text,
                   job.options.quick ? Findings{} : judge_links(links, job.hosts, job.options.slow_factor));
}

void check_speed(Job& job) {
    Context context(job.threads, Arena(0, job.device));
    if (job.device == Device::cpu) check_all_reduce(job, job.world, context, "all-reduce");
    std::unique_ptr<Communicator> copy = job.world.duplicate();
    Mesh mesh = make_mesh(std::move(copy), job.mesh_size, job.config().parallel.order);
    serve_device(mesh, context, job.config().parallel.share_gpu);
    if (is_news(job, *mesh.tensor)) check_all_reduce(job, *mesh.tensor, context, "tensor groups");
    if (is_news(job, *mesh.data)) check_all_reduce(job, *mesh.data, context, "data groups");
    if (job.mesh_size.pipeline > 1) check_neighbours(job, *mesh.pipeline_forward, context);
    check_products(job, context);
}

}  // namespace gpas::preflight
