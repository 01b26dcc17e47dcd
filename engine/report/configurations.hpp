// The differences between the configurations of the runs of a report.
#pragma once

#include "engine/report/json_values.hpp"
#include "io/config/run_config.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gpas {

struct RunConfiguration {
    std::optional<RunConfig> config;
    std::string missing;  // why there is no configuration, in one line; empty if there is one
};

// config.yaml of a run's directory. It is missing if the file does not exist or if this version does not know a key of
// it, as in runs of other versions; a report shows such a run without its configuration.
RunConfiguration read_configuration(const std::filesystem::path& directory);

// [{key, values}] for each key whose meaning differs between the first run with a configuration and another run, in the
// order of the schema, except `name` and `directory`. values: one text per run, as YAML; null for a run without a
// configuration. Pure.
ReportJson configuration_differences(const std::vector<RunConfiguration>& runs);

}  // namespace gpas
