// The subcommands, one file each. add_NAME() adds the subcommand to the parser; if the user chose it, parsing sets the
// functions of Chosen that main() then calls.
#pragma once

#include "parallel/watch/watcher.hpp"

#include <functional>

namespace CLI {
class App;
}

namespace gpas {

class MpiSession;

// The chosen subcommand: exactly one of `alone` and `parallel` is set.
struct Chosen {
    std::function<void()> alone;                // a command without MPI
    std::function<void(MpiSession&)> parallel;  // a command under mpirun or srun, or as a job of one rank
    // For `parallel`: settings of the watchers, which start before MPI is initialised.
    std::function<WatchSettings()> watch = [] { return WatchSettings(); };
};

void add_train(CLI::App& app, Chosen& chosen);
void add_eval(CLI::App& app, Chosen& chosen);
void add_generate(CLI::App& app, Chosen& chosen);
void add_prepare(CLI::App& app, Chosen& chosen);
void add_inspect(CLI::App& app, Chosen& chosen);
void add_plan(CLI::App& app, Chosen& chosen);
void add_preflight(CLI::App& app, Chosen& chosen);
void add_convert(CLI::App& app, Chosen& chosen);
void add_top(CLI::App& app, Chosen& chosen);
void add_report(CLI::App& app, Chosen& chosen);
void add_config(CLI::App& app, Chosen& chosen);

}  // namespace gpas
