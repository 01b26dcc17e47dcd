// gpas: parses the command line, runs the command, turns an error into one line and an exit code on every rank.
#include "base/error.hpp"
#include "base/error_of.hpp"
#include "base/join_names.hpp"
#include "engine/commands/command.hpp"
#include "engine/commands/help_files.hpp"
#include "engine/commands/version.hpp"
#include "io/config/suggest.hpp"
#include "io/metrics/background_stderr.hpp"
#include "kernels/cuda/gpu.hpp"
#include "parallel/communicator.hpp"
#include "parallel/mpi/mpi_session.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr const char* footer =
    "Exit codes: 0 success; 1 bug in gpas; 2 error in the command line or configuration; 3 bad data file, tokenizer or\n"
    "checkpoint; 4 NaN or Inf in training; 5 error of MPI, memory, disk or permissions; 6 a rank was lost; 75 stopped on\n"
    "request, resume with the same command; 130 interrupted twice.\n"
    "Options of a command: `gpas COMMAND --help`. Configuration keys: `gpas config`.";

int report(const gpas::Error& error) {
    std::fflush(stdout);
    // A requested stop is not an error.
    const bool is_error = error.code() != gpas::ExitCode::unfinished;
    std::fprintf(stderr, "gpas: %s%s\n", is_error ? "error: " : "", error.what());
    return int(error.code());
}

// Errors that reach this function were not agreed on by all ranks. Other ranks may be waiting in a collective, so the
// job ends on all ranks. Rank 0 reports first, so that an error common to all ranks is printed once. A single rank has
// no other ranks to end; it leaves MPI in order, without MPI's message about an abort.
int end_job(const gpas::MpiSession& mpi, gpas::BackgroundStderr& output, const gpas::Error& error) {
    const int rank = mpi.rank();
    if (mpi.watcher().board().size == 1) {
        mpi.watcher().failed(false);
        return report(error);
    }
    // If MPI fails, a rank may be lost; the watcher's report then says more than MPI's message.
    mpi.watcher().failed(error.code() == gpas::ExitCode::environment);
    if (rank > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const gpas::Error named(error.code(),
                            rank > 0 ? "rank " + std::to_string(rank) + ": " + error.what() : error.what());
    const int code = report(named);
    output.drain(2.0);
    mpi.abort(code);
}

int run_parallel(const gpas::Chosen& chosen, int argc, char** argv) {
    gpas::BackgroundStderr output;  // outlives the session
    std::optional<gpas::MpiSession> session;
    try {
        session.emplace(&argc, &argv, chosen.watch());
    } catch (const std::exception& error) {
        return report(gpas::error_of(error));
    }
    gpas::MpiSession& mpi = *session;
    const int rank = mpi.rank();
    try {
        chosen.parallel(mpi);
        return 0;
    } catch (const gpas::AgreedError& error) {
        return rank == 0 ? report(error) : int(error.code());
    } catch (const std::exception& error) {
        return end_job(mpi, output, gpas::error_of(error));
    }
}

int run_alone(const gpas::Chosen& chosen) {
    try {
        chosen.alone();
        return 0;
    } catch (const std::exception& error) {
        return report(gpas::error_of(error));
    }
}

// Reports a command line that cannot be parsed, in one line. Returns the exit code.
int refuse(const CLI::App& app, int argc, char** argv, const CLI::ParseError& error) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({}))
        if (!command->get_group().empty()) names.push_back(command->get_name());
    const std::string first = argc > 1 ? argv[1] : "";
    const bool is_command = std::find(names.begin(), names.end(), first) != names.end();
    if (!is_command && !first.starts_with('-')) {
        const std::string near = gpas::nearest(first, names);
        const std::string found = first.empty() ? "found no command" : "found no command '" + first + "'";
        return report(
            gpas::Error(gpas::ExitCode::usage, found + ", expected one of " + gpas::join_names(names, ", ") +
                                                   (near.empty() ? "" : "; did you mean gpas " + near + "?")));
    }
    std::string what = error.what();
    std::replace(what.begin(), what.end(), '\n', ' ');
    return report(gpas::Error(gpas::ExitCode::usage, (is_command ? "gpas " + first + ": " : "") + what +
                                                         "; run `gpas " + (is_command ? first + " " : "") +
                                                         "--help` for more"));
}

}  // namespace

int main(int argc, char** argv) {
    gpas::cuda::prepare_environment();
    CLI::App app("gpas: pretrains LLaMA-type language models with gradient-preserving activation scaling");
    app.set_version_flag("--version", gpas::version_text);
    app.require_subcommand(1);
    app.footer(footer);
    gpas::Chosen chosen;
    gpas::add_train(app, chosen);
    gpas::add_eval(app, chosen);
    gpas::add_generate(app, chosen);
    gpas::add_prepare(app, chosen);
    gpas::add_inspect(app, chosen);
    gpas::add_convert(app, chosen);
    gpas::add_plan(app, chosen);
    gpas::add_preflight(app, chosen);
    gpas::add_top(app, chosen);
    gpas::add_report(app, chosen);
    gpas::add_config(app, chosen);
    gpas::add_help_files(app, chosen);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return error.get_exit_code() == 0 ? app.exit(error) : refuse(app, argc, argv, error);
    }
    return chosen.parallel ? run_parallel(chosen, argc, argv) : run_alone(chosen);
}
