// One file per subcommand. Each adds itself to the parser and, when it was chosen, sets what is to be run.
#pragma once

#include "parallel/watch/watcher.hpp"

#include <functional>

namespace CLI {
class App;
}

namespace gpas {

class MpiSession;

// What the parser chose: exactly one of them.
struct Chosen {
    std::function<void()> alone;                // needs no other ranks
    std::function<void(MpiSession&)> parallel;  // under mpirun or srun, or as a job of one rank
    std::function<WatchSettings()> watch = [] { return WatchSettings(); };  // of parallel's ranks, before MPI is up
};

void add_train(CLI::App& app, Chosen& chosen);
void add_eval(CLI::App& app, Chosen& chosen);
void add_generate(CLI::App& app, Chosen& chosen);
void add_prepare(CLI::App& app, Chosen& chosen);
void add_inspect(CLI::App& app, Chosen& chosen);
void add_plan(CLI::App& app, Chosen& chosen);
void add_preflight(CLI::App& app, Chosen& chosen);
void add_convert(CLI::App& app, Chosen& chosen);
void add_config(CLI::App& app, Chosen& chosen);

}  // namespace gpas
