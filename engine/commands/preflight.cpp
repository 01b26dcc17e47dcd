#include "engine/preflight/preflight.hpp"

#include "engine/commands/arguments.hpp"
#include "engine/commands/command.hpp"
#include "parallel/agree.hpp"

namespace gpas {

void add_preflight(CLI::App& app, Chosen& chosen) {
    CLI::App* command = app.add_subcommand(
        "preflight",
        "Before training, on all ranks of the job: find the rank, node, disk or link that is not as the others");
    const auto config = add_config_argument(*command);
    const auto options = std::make_shared<preflight::Options>();
    command->add_flag("--quick", options->quick, "leave out what takes long: bandwidths, matrix products");
    command->add_flag("--strict", options->strict, "what is slow is a problem, too: exit code 5");
    command
        ->add_option("--slow-factor", options->slow_factor, "a link is slow that has less than 1/FACTOR of the median")
        ->check(CLI::Range(1.0, 1e6));
    command->add_option("--wait-seconds", options->wait_seconds, "longest wait for another rank")
        ->check(CLI::PositiveNumber);
    command->callback([&chosen, config, options] {
        chosen.parallel = [config, options](MpiSession& mpi) {
            std::unique_ptr<Communicator> world = mpi.world();
            world->log().settings.timeout_seconds = options->wait_seconds;
            const LoadedConfig loaded = agree(*world, [&] { return config->load(); });
            preflight::run(loaded, std::move(world), mpi, *options);
        };
    });
}

}  // namespace gpas
