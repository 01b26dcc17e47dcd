#include "engine/preflight/speed.hpp"

#include "base/stopwatch.hpp"
#include "kernels/arena.hpp"
#include "kernels/ops.hpp"
#include "parallel/agree.hpp"

#include <algorithm>

namespace gpas::preflight {
namespace {

constexpr std::int64_t small_elements = 2;
constexpr int small_repetitions = 21;
constexpr int large_repetitions = 5;
constexpr int group_repetitions = 7;

// Median seconds of a message in one direction, by ping-pong: the first rank of the pair sends first. The first
// exchange is a warm-up and is not counted.
double one_way_seconds(Communicator& world, Tensor data, int partner, bool first, int repetitions) {
    std::vector<double> seconds;
    for (int i = 0; i <= repetitions; ++i) {
        const auto receive = [&] { world.start_receive(data, partner, "a test of a link")->wait(); };
        const Stopwatch watch;
        if (!first) receive();
        world.start_send(data, partner, "a test of a link")->wait();
        if (first) receive();
        if (i > 0) seconds.push_back(0.5 * watch.seconds());
    }
    return median(std::move(seconds));
}

}  // namespace

std::vector<MeasuredLink> measure_links(Communicator& world, const std::vector<Round>& rounds,
                                        std::int64_t large_bytes) {
    std::vector<float> memory(std::size_t(std::max(large_bytes / std::int64_t(sizeof(float)), small_elements)), 0.0F);
    const Tensor large(memory.data(), Dtype::fp32, {std::int64_t(memory.size())});
    const Tensor small = large.first({small_elements});
    std::vector<MeasuredLink> links;
    std::vector<double> measured;  // [link][latency, rate]: nonzero on the first rank of the link's pair only
    for (const Round& round : rounds) {
        world.barrier("a round of links");
        for (const auto& [a, b] : round) {
            links.push_back({.a = a, .b = b});
            measured.resize(2 * links.size(), 0.0);
            if (world.rank() != a && world.rank() != b) continue;
            const bool first = world.rank() == a;
            const int partner = first ? b : a;
            const double latency = one_way_seconds(world, small, partner, first, small_repetitions);
            const double rate = large_bytes > 0 ? double(large.bytes()) /
                                                      one_way_seconds(world, large, partner, first, large_repetitions)
                                                : 0.0;
            if (first) std::copy_n(std::initializer_list<double>{latency, rate}.begin(), 2, measured.end() - 2);
        }
    }
    world.all_reduce(measured.data(), std::int64_t(measured.size()), ReduceOp::sum, "what links reached");
    for (std::size_t i = 0; i < links.size(); ++i) {
        links[i].seconds = measured[2 * i];
        links[i].bytes_per_second = measured[2 * i + 1];
    }
    return links;
}

double all_reduce_seconds(Communicator& group, Context& context, std::int64_t bytes) {
    Arena arena = agree(group, [&] { return Arena(bytes, context.device()); });
    const Tensor data = arena.allocate(Dtype::fp32, {bytes / std::int64_t(sizeof(float))});
    std::vector<double> seconds;
    for (int i = 0; i <= group_repetitions; ++i) {
        context.synchronize();
        group.barrier("a test of all_reduce");
        const Stopwatch watch;
        group.all_reduce(data, ReduceOp::sum, "a test of all_reduce");
        context.synchronize();
        if (i > 0) seconds.push_back(watch.seconds());
    }
    double slowest = median(std::move(seconds));
    group.all_reduce(&slowest, 1, ReduceOp::max, "the time of all_reduce");
    return slowest;
}

double neighbour_seconds(Communicator& stages, Context& context, std::int64_t bytes) {
    const std::int64_t elements = bytes / std::int64_t(sizeof(float));
    Arena arena = agree(stages, [&] { return Arena(2 * bytes + 2 * Arena::alignment_bytes, context.device()); });
    const Tensor out = arena.allocate(Dtype::fp32, {elements});
    const Tensor in = arena.allocate(Dtype::fp32, {elements});
    const int rank = stages.rank();
    std::vector<double> seconds;
    for (int i = 0; i <= group_repetitions; ++i) {
        context.synchronize();
        stages.barrier("a test of pipeline messages");
        const Stopwatch watch;
        std::unique_ptr<Transfer> received, sent;
        if (rank > 0) received = stages.start_receive(in, rank - 1, "a test of pipeline messages");
        if (rank + 1 < stages.size()) sent = stages.start_send(out, rank + 1, "a test of pipeline messages");
        if (received) received->wait();
        if (sent) sent->wait();
        context.synchronize();
        if (i > 0) seconds.push_back(watch.seconds());
    }
    return median(std::move(seconds));
}

double product_rate(Communicator& world, Context& context, const ProductShape& shape, double seconds) {
    constexpr double sample_seconds = 5e-3;  // much longer than the clock's resolution and a kernel launch
    struct Operands {
        Arena arena;
        Tensor y, x, w;
    };
    const auto multiply = [&](const Operands& o) { matmul(context, o.y, o.x, o.w); };
    const Operands operands = agree(world, [&] {
        const std::int64_t elements = shape.rows * (shape.out + shape.in) + shape.out * shape.in;
        Operands o{.arena =
                       Arena(elements * bytes_per_element(shape.dtype) + 3 * Arena::alignment_bytes, context.device())};
        o.y = o.arena.allocate(shape.dtype, {shape.rows, shape.out});
        o.x = o.arena.allocate(shape.dtype, {shape.rows, shape.in});
        o.w = o.arena.allocate(shape.dtype, {shape.out, shape.in});
        fill(context, o.x, 0.5F);
        fill(context, o.w, 0.25F);
        multiply(o);  // warm-up: the first call compiles the kernel
        context.synchronize();
        return o;
    });
    world.barrier("a test of matrix products");
    const double operations = 2.0 * double(shape.rows) * double(shape.out) * double(shape.in);
    std::vector<double> rates;
    std::int64_t times = 1;
    const Stopwatch total;
    while (rates.size() < 5 || total.seconds() < seconds) {
        const Stopwatch watch;
        for (std::int64_t i = 0; i < times; ++i) multiply(operands);
        context.synchronize();
        const double taken = watch.seconds();
        if (taken < sample_seconds && times < (std::int64_t(1) << 20)) {
            times *= 2;
            continue;
        }
        rates.push_back(operations * double(times) / taken);
    }
    return median(std::move(rates));
}

}  // namespace gpas::preflight
