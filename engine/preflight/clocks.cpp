#include "engine/preflight/clocks.hpp"

#include "base/stopwatch.hpp"
#include "base/wall_clock.hpp"

#include <chrono>
#include <limits>

namespace gpas::preflight {
namespace {

constexpr int questions = 8;

// The bytes of a double as a tensor: point-to-point messages do not support fp64.
Tensor as_words(double& value) { return {&value, Dtype::int32, {2}}; }

void answer(Communicator& world) {
    double clock = 0.0;
    for (int i = 0; i < questions; ++i) {
        world.start_receive(as_words(clock), 0, "a question for the time")->wait();
        clock = seconds_since_1970();
        world.start_send(as_words(clock), 0, "the time")->wait();
    }
}

void ask(Communicator& world, int rank, Clocks& clocks) {
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < questions; ++i) {
        double clock = 0.0;
        const double before = seconds_since_1970();
        const Stopwatch watch;
        world.start_send(as_words(clock), rank, "a question for the time")->wait();
        world.start_receive(as_words(clock), rank, "the time")->wait();
        const double round_trip = watch.seconds();
        if (round_trip >= best) continue;
        best = round_trip;
        clocks.offsets[std::size_t(rank)] = clock - (before + 0.5 * round_trip);
        clocks.bounds[std::size_t(rank)] = 0.5 * round_trip;
    }
}

}  // namespace

Clocks measure_clocks(Communicator& world) {
    const std::int64_t ranks = world.size();
    Clocks clocks{std::vector<double>(std::size_t(ranks), 0.0), std::vector<double>(std::size_t(ranks), 0.0)};
    world.barrier("clocks");
    if (world.rank() != 0) answer(world);
    for (int rank = 1; world.rank() == 0 && rank < world.size(); ++rank) ask(world, rank, clocks);
    world.broadcast(clocks.offsets.data(), ranks * std::int64_t(sizeof(double)), 0, "offsets of clocks");
    world.broadcast(clocks.bounds.data(), ranks * std::int64_t(sizeof(double)), 0, "errors of clocks");
    return clocks;
}

}  // namespace gpas::preflight
