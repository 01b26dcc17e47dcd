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

// What a key decides, and so what may change when a run resumes from a checkpoint, starts from its weights
// (checkpoint.init_from), or is evaluated. Every comparison derives from it (compare.hpp).
enum class KeyRole {
    model_math,    // what the weights compute: fixed on resume and with init_from; eval and generate take it from the
                   // checkpoint
    run_math,      // initial weights, order of the data, samples: fixed on resume
    file_content,  // names files: their content is fixed on resume, their path is not
    later_steps,   // the mathematics of the steps to come: may change on resume, which is then printed
    layout,        // how the work is divided among ranks and threads: no influence but rounding, belongs to one start
    no_math,       // what is written, when and where, and who is waited for: may change
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
    std::string unit;                  // "" where there is none
    ValueRange range;                  // integer, real
    std::vector<std::string> choices;  // choice
    std::string help;                  // one line
    // Why a short run without failures on one rank is the same with another value; empty: it is not. A test holds each
    // key to it.
    std::string unseen;
    std::vector<std::string> aliases;  // what Megatron-LM, torchtitan or Hugging Face call it: for error messages only
    std::function<ConfigValue(const RunConfig&)> get;
    std::function<void(RunConfig&, const ConfigValue&)> set;  // the value has the alternative that `type` asks for
};

struct SectionSpec {
    std::string name;  // dotted; "" is the top level
    std::string help;
    bool training_only = false;  // `gpas eval` and `gpas generate` do not use its keys
};

// In the order of RunConfig, sections contiguous.
const std::vector<KeySpec>& config_keys();
const std::vector<SectionSpec>& config_sections();

const KeySpec* find_key(std::string_view dotted_name);  // nullptr: no such key
bool is_section(std::string_view dotted_name);

// "no", "no (the content of the files)", "yes, and is printed", "yes": whether a key may change on resume.
std::string describe_resume(KeyRole role);

// "integer from 1 to 1_000_000", "one of post, deeppost, …": what a message expects and the listing shows.
std::string describe_type(const KeySpec& key);
// As YAML that parses to exactly this value again.
std::string format_value(const ConfigValue& value);
std::string format_key(const KeySpec& key, const RunConfig& config);
std::string default_of(const KeySpec& key);

}  // namespace gpas
