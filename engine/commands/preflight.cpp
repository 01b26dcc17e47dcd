#include "engine/preflight/preflight.hpp"

#include "engine/commands/arguments.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/options.hpp"
#include "parallel/agree.hpp"
#include "parallel/mpi/mpi_session.hpp"

namespace gpas {

void add_preflight(CLI::App& app, Chosen& chosen) {
    CLI::App* command = app.add_subcommand(
        "preflight",
        "Check all ranks of a job before training: find the rank, node, disk or link that is slow or differs");
    const auto config = add_config_argument(*command);
    const auto options = std::make_shared<preflight::Options>();
    command->add_flag("--quick", options->quick, "skip the long measurements: bandwidths, matrix products");
    command->add_flag("--strict", options->strict, "treat slow parts as problems, too: exit code 5");
    add_real(*command, "--slow-factor", options->slow_factor, {1, 1e6},
             "a link is slow if it has less than 1/N of the median");
    add_real(*command, "--wait-seconds", options->wait_seconds, {0, 1e9, true},
             "longest wait for another rank, in seconds");
    command->callback([&chosen, config, options] {
        chosen.parallel = [config, options](MpiSession& mpi) {
            std::unique_ptr<Communicator> world = mpi.world();
            world->waits().timeout_seconds = options->wait_seconds;
            const LoadedConfig loaded = agree(*world, [&] { return config->load_with_model(world->rank() == 0); });
            preflight::run(loaded, std::move(world), mpi, *options);
        };
    });
}

}  // namespace gpas
