#include "engine/report/report.hpp"

#include "engine/commands/command.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <memory>

namespace gpas {
namespace {

struct ReportArguments {
    std::vector<std::string> runs;
    std::string output = "report.html";
};

void write_report_of(const ReportArguments& options) {
    check_report_output(options.output);
    const std::string page = report_page(report_json({options.runs.begin(), options.runs.end()}));
    write_report(options.output, page);
    fmt::print(stderr, "gpas: wrote {} ({} run(s), {:.2f} MB); open it in a browser\n", options.output,
               options.runs.size(), double(page.size()) / 1e6);
}

}  // namespace

void add_report(CLI::App& app, Chosen& chosen) {
    auto options = std::make_shared<ReportArguments>();
    CLI::App* command =
        app.add_subcommand("report", "Write one HTML page about one or several runs: curves, layers, events, numbers");
    command->add_option("RUN", options->runs, "directories of runs; differences are those to the first run")
        ->required();
    command->add_option("--output", options->output, "file to write; an earlier report is replaced")
        ->capture_default_str();
    command->footer("The page needs no network and no other file.");
    command->callback([&chosen, options] { chosen.alone = [options] { write_report_of(*options); }; });
}

}  // namespace gpas
