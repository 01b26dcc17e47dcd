#include "base/error.hpp"
#include "engine/commands/arguments.hpp"
#include "engine/commands/command.hpp"
#include "engine/run/same_ranks.hpp"
#include "engine/run/threads.hpp"
#include "engine/run/trainer.hpp"
#include "parallel/mpi/mpi_session.hpp"

namespace gpas {

void add_train(CLI::App& app, Chosen& chosen) {
    CLI::App* command = app.add_subcommand("train", "Train a model, or continue its run from the newest checkpoint");
    const auto config = add_config_argument(*command);
    command->callback([&chosen, config] {
        chosen.watch = [config] {
            return WatchSettings{.takes_signals = true, .read = [config](WatchSettings& settings) {
                                     try {
                                         settings = watch_settings(config->load().values);
                                     } catch (const std::exception&) {  // reported once, by load_on_all_ranks below
                                     }
                                 }};
        };
        chosen.parallel = [config](MpiSession& mpi) {
            std::unique_ptr<Communicator> world = mpi.world();
            const LoadedConfig loaded = load_on_all_ranks(*world, [&] {
                if (const std::string& problem = mpi.watcher().launch().problem; !problem.empty())
                    fail(ExitCode::usage, "{}", problem);
                return config->load_with_model(world->rank() == 0);
            });
            const ChosenDevice device = choose_device(loaded.values.compute, mpi, *world);
            train(loaded, std::move(world), compute_threads(loaded.values.compute.threads, mpi, true), device, &mpi);
        };
    });
}

}  // namespace gpas
