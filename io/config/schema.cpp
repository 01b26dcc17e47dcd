#include "io/config/schema.hpp"

#include "io/config/schema_parts.hpp"

#include <algorithm>

namespace gpas {
namespace {

SchemaBuilder declare_all() {
    using namespace schema_parts;
    SchemaBuilder schema;
    for (const auto declare : {declare_run, declare_model, declare_rope_scaling, declare_gate, declare_data,
                               declare_training, declare_optimizer, declare_schedule, declare_parallel, declare_compute,
                               declare_watch, declare_guard, declare_evaluation, declare_checkpoint, declare_metrics})
        declare(schema);
    return schema;
}

const SchemaBuilder& schema() {
    static const SchemaBuilder built = declare_all();
    return built;
}

}  // namespace

const std::vector<KeySpec>& config_keys() { return schema().keys; }
const std::vector<SectionSpec>& config_sections() { return schema().sections; }

const KeySpec* find_key(std::string_view dotted_name) {
    const auto& keys = config_keys();
    const auto found =
        std::find_if(keys.begin(), keys.end(), [&](const KeySpec& key) { return key.name == dotted_name; });
    return found == keys.end() ? nullptr : &*found;
}

bool is_section(std::string_view dotted_name) {
    const auto& sections = config_sections();
    return std::any_of(sections.begin(), sections.end(),
                       [&](const SectionSpec& section) { return section.name == dotted_name; });
}

std::string default_of(const KeySpec& key) { return format_key(key, RunConfig{}); }

}  // namespace gpas
