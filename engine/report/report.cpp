#include "engine/report/report.hpp"

#include "base/error.hpp"
#include "engine/model/parameters.hpp"
#include "engine/report/configurations.hpp"
#include "engine/report/numbers.hpp"
#include "engine/report/pairs.hpp"
#include "engine/report/run_data.hpp"
#include "engine/report/token_axis.hpp"
#include "io/config/enum_names.hpp"
#include "io/metrics/run_history.hpp"

#include <algorithm>

namespace gpas {
namespace {

using std::filesystem::path;

std::string last_part(const path& directory) {
    const path whole = std::filesystem::absolute(directory).lexically_normal();
    return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

std::vector<std::string> labels_of(const std::vector<path>& directories) {
    std::vector<std::string> labels;
    for (const path& directory : directories) {
        const std::string name = last_part(directory);
        const bool alone = std::ranges::count(directories, name, last_part) == 1;
        labels.push_back(alone ? name : directory.string());
    }
    return labels;
}

void check_directories(const std::vector<path>& directories) {
    for (auto directory = directories.begin(); directory != directories.end(); ++directory) {
        std::error_code ignored;
        const auto same = [&](const path& earlier) {
            return std::filesystem::equivalent(earlier, *directory, ignored);
        };
        if (std::any_of(directories.begin(), directory, same))
            fail(ExitCode::usage, "{}: this run is given twice; give each run once", directory->string());
    }
}

ReportJson about_run(const path& directory, const std::string& label, const RunConfiguration& configuration) {
    ReportJson run{{"label", label}, {"directory", directory.string()}};
    const auto& config = configuration.config;
    run["name"] = config ? ReportJson(config->name) : ReportJson();
    run["architecture"] = config ? ReportJson(name_of(config->model.architecture)) : ReportJson();
    run["parameters"] = config ? ReportJson(parameter_count(config->model)) : ReportJson();
    run["configuration"] = config ? ReportJson() : ReportJson(configuration.missing);
    return run;
}

}  // namespace

ReportJson report_json(const std::vector<path>& directories) {
    check_directories(directories);
    const std::vector<std::string> labels = labels_of(directories);
    const ReportSize size = report_size(directories.size());
    ReportJson data{{"version", GPAS_VERSION}, {"runs", ReportJson::array()}, {"pairs", ReportJson::array()}};
    std::vector<RunConfiguration> configurations;
    RunLosses first;
    for (std::size_t i = 0; i < directories.size(); ++i) {
        const RunHistory history = read_history(directories[i]);
        configurations.push_back(read_configuration(directories[i]));
        ReportJson run = about_run(directories[i], labels[i], configurations.back());
        run["numbers"] = numbers_json(history);
        run.update(run_json(history, size));
        data["runs"].push_back(std::move(run));
        RunLosses losses{.training = training_loss(history), .validation = validation_loss(history)};
        if (i == 0) {
            first = std::move(losses);
            continue;
        }
        ReportJson pair{{"run", i}};
        pair.update(pair_json(first, losses, size.means));
        data["pairs"].push_back(std::move(pair));
    }
    data["differences"] = configuration_differences(configurations);
    return data;
}

}  // namespace gpas
