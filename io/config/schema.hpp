// The schema of a run: every key declared once (schema.cpp). Parsing, errors, `gpas config`, docs/configuration.md and
// the resolved configuration in a checkpoint all derive from this list.
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

// What a key holds; an enumeration is held as its name.
using ConfigValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string, std::vector<DataSource>>;
enum class KeyType { integer, seed, real, boolean, text, choice, sources };

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
    KeyType type = KeyType::integer;
    std::string unit;                  // "" where there is none
    ValueRange range;                  // integer, real
    std::vector<std::string> choices;  // choice
    std::string help;                  // one line
    std::vector<std::string> aliases;  // what Megatron-LM, torchtitan or Hugging Face call it: for error messages only
    std::function<ConfigValue(const RunConfig&)> get;
    std::function<void(RunConfig&, const ConfigValue&)> set;  // the value has the alternative that `type` asks for
};

struct SectionSpec {
    std::string name;  // dotted; "" is the top level
    std::string help;
};

// In the order of RunConfig, sections contiguous.
const std::vector<KeySpec>& config_keys();
const std::vector<SectionSpec>& config_sections();

const KeySpec* find_key(std::string_view dotted_name);  // nullptr: no such key
bool is_section(std::string_view dotted_name);

// "integer from 1 to 1_000_000", "one of post, deeppost, …": what a message expects and the listing shows.
std::string describe_type(const KeySpec& key);
// As YAML that parses to exactly this value again.
std::string format_value(const ConfigValue& value);
std::string format_key(const KeySpec& key, const RunConfig& config);
std::string default_of(const KeySpec& key);

}  // namespace gpas
