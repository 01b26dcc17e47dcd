// The schema and a configuration as text: `gpas config`, docs/configuration.md and the copy in every checkpoint.
#pragma once

#include "io/config/load.hpp"

#include <string>
#include <string_view>

namespace gpas {

// Every key with type, unit, default and help, for a terminal. With a `filter`, only keys whose name, aliases or help
// contain it. Empty if no key does.
std::string describe_schema(std::string_view filter = "");

// docs/configuration.md.
std::string describe_schema_as_markdown();

// YAML with every key; load_config_text gives back exactly this configuration.
std::string dump_config(const RunConfig& config);

// As above. A comment on each line that a file or an override sets gives the place: `gpas config --resolved`.
std::string dump_config(const LoadedConfig& config);

}  // namespace gpas
