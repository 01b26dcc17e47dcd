#include "engine/report/configurations.hpp"

#include "base/error.hpp"
#include "io/config/compare.hpp"
#include "io/config/document.hpp"
#include "io/config/load.hpp"

#include <algorithm>
#include <map>

namespace gpas {

RunConfiguration read_configuration(const std::filesystem::path& directory) {
    const std::string file = (directory / "config.yaml").string();
    if (!std::filesystem::exists(file)) return {.config = {}, .missing = file + ": no such file"};
    try {
        return {.config = stored_config(read_config_file(file), file, ""), .missing = ""};
    } catch (const Error& error) {
        return {.config = {}, .missing = error.what()};
    }
}

ReportJson configuration_differences(const std::vector<RunConfiguration>& runs) {
    const auto base = std::ranges::find_if(runs, [](const RunConfiguration& run) { return run.config.has_value(); });
    std::map<const KeySpec*, ReportJson> rows;
    for (auto run = base; run != runs.end(); ++run) {
        if (run == base || !run->config) continue;
        for (const KeyChange& change : changed_keys(*base->config, *run->config)) {
            if (change.key->name == "name" || change.key->name == "directory") continue;
            ReportJson& values = rows[change.key];
            if (values.is_null())  // a run whose value does not differ has the first run's value
                for (const RunConfiguration& any : runs)
                    values.push_back(any.config ? ReportJson(change.before) : ReportJson());
            values[std::size_t(run - runs.begin())] = change.now;
        }
    }
    ReportJson list = ReportJson::array();
    for (const KeySpec& key : config_keys())
        if (const auto row = rows.find(&key); row != rows.end())
            list.push_back({{"key", key.name}, {"values", row->second}});
    return list;
}

}  // namespace gpas
