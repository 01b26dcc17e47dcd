// The schema of a run: the list of all configuration keys, each declared once (in schema_*.cpp). Parsing, error
// messages, `gpas config`, docs/configuration.md and the resolved configuration in a checkpoint all derive from this
// list.
#pragma once

#include "io/config/run_config.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gpas {

// The value of a key; an enumeration as its name.
using ConfigValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string, std::vector<DataSource>,
                                 std::vector<std::string>>;
enum class KeyType { integer, seed, real, boolean, text, choice, sources, files };

// What a key decides. The role determines whether the key may change when a run resumes from a checkpoint, when it
// takes initial weights from one (checkpoint.init_from), and in `gpas eval` and `gpas generate`. compare.hpp makes all
// comparisons by it.
enum class KeyRole {
    model_math,    // what the weights compute: fixed on resume and with init_from; eval and generate take it from the
                   // checkpoint
    run_math,      // initial weights, order of the data, samples: fixed on resume
    file_content,  // names files: the content of the files is fixed on resume, their paths are not
    later_steps,   // the mathematics of later steps: may change on resume; the change is printed
    layout,        // how ranks and threads share the work: may change; results differ by rounding only
    no_math,       // what is written, when and where, and how long ranks wait for each other: may change
};

struct ValueRange {
    double min = -std::numeric_limits<double>::infinity();
    double max = std::numeric_limits<double>::infinity();
    bool min_excluded = false;
    bool max_excluded = false;
    bool contains(double value) const {
        return (min_excluded ? value > min : value >= min) && (max_excluded ? value < max : value <= max);
    }
};

struct KeySpec {
    std::string name;     // dotted: training.steps
    std::string section;  // training; "" at the top level
    std::string leaf;     // steps
    KeyRole role = KeyRole::no_math;
    KeyType type = KeyType::integer;
    std::string unit;                  // "": no unit
    ValueRange range;                  // integer, real
    std::vector<std::string> choices;  // choice
    std::string help;                  // one line
    // Why another value does not change a short run on one rank without failures. "": it does change such a run
    // (tests/engine/test_keys.cpp checks every key).
    std::string unseen;
    std::vector<std::string> aliases;  // names in Megatron-LM, torchtitan and Hugging Face, for error messages only
    std::function<ConfigValue(const RunConfig&)> get;
    std::function<void(RunConfig&, const ConfigValue&)> set;  // the value's alternative must match `type`
};

struct SectionSpec {
    std::string name;  // dotted; "" is the top level
    std::string help;
    bool training_only = false;  // `gpas eval` and `gpas generate` do not use the section's keys
};

// Sections are in the order of RunConfig; a nested section follows the section that contains it. Keys are grouped by
// section, in the order of the section's struct. The references stay valid until the process ends.
const std::vector<KeySpec>& config_keys();
const std::vector<SectionSpec>& config_sections();

const KeySpec* find_key(std::string_view dotted_name);  // nullptr if there is no such key
bool is_section(std::string_view dotted_name);

// Whether a key may change on resume: "no", "the path only", "yes, and is printed" or "yes".
std::string describe_resume(KeyRole role);

// The values that a key accepts, for messages and listings: "an integer from 1 to 1_000_000", "one of post, pre, …".
std::string describe_type(const KeySpec& key);
// The value as YAML that parses back to exactly this value.
std::string format_value(const ConfigValue& value);
// The value of `key` in `config`: as format_value, but an enumeration without quotes.
std::string format_key(const KeySpec& key, const RunConfig& config);
std::string default_of(const KeySpec& key);

}  // namespace gpas
