// Values and types of the schema as text.
#include "base/error.hpp"
#include "base/join_names.hpp"
#include "io/config/schema.hpp"

#include <fmt/format.h>

#include <cmath>

namespace gpas {
namespace {

// Digits in groups, as the parser accepts them: 1_000_000.
std::string grouped(double integer) {
    const std::string digits = fmt::format("{:.0f}", integer);
    if (digits.size() < 6) return digits;
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const bool starts_group = i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-';
        if (starts_group) text += '_';
        text += digits[i];
    }
    return text;
}

std::string describe_range(const KeySpec& key) {
    const ValueRange& range = key.range;
    if (key.type == KeyType::integer) return fmt::format(" from {} to {}", grouped(range.min), grouped(range.max));
    const std::string low =
        std::isinf(range.min) ? "" : fmt::format(" {} {}", range.min_excluded ? ">" : ">=", range.min);
    const std::string high =
        std::isinf(range.max) ? "" : fmt::format(" {} {}", range.max_excluded ? "<" : "<=", range.max);
    return low + (low.empty() || high.empty() ? "" : " and") + high;
}

// Always quoted, so that no text is read as a number, a boolean or null.
std::string format_text(const std::string& text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
            quoted += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            quoted += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
        } else {
            quoted += c;
        }
    }
    return quoted + "\"";
}

std::string format_source(const DataSource& source) {
    if (source.weight == 1.0) return format_text(source.path);
    return fmt::format("{{path: {}, weight: {}}}", format_text(source.path), format_value(source.weight));
}

struct Formatter {
    std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(std::uint64_t value) const { return fmt::format("{}", value); }
    // The shortest text that reads back as the same number. YAML 1.1 requires a point before an exponent: 1.0e-06.
    std::string operator()(double value) const {
        std::string text = fmt::format("{}", value);
        const std::size_t exponent = text.find('e');
        if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
        return text;
    }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(const std::string& value) const { return format_text(value); }
    std::string operator()(const std::vector<DataSource>& value) const {
        std::vector<std::string> items;
        for (const DataSource& source : value) items.push_back(format_source(source));
        return fmt::format("[{}]", join_names(items, ", "));
    }
    std::string operator()(const std::vector<std::string>& value) const {
        std::vector<std::string> items;
        for (const std::string& file : value) items.push_back(format_text(file));
        return fmt::format("[{}]", join_names(items, ", "));
    }
};

}  // namespace

std::string format_value(const ConfigValue& value) { return std::visit(Formatter{}, value); }

std::string format_key(const KeySpec& key, const RunConfig& config) {
    const ConfigValue value = key.get(config);
    return key.type == KeyType::choice ? std::get<std::string>(value) : format_value(value);
}

std::string describe_resume(KeyRole role) {
    switch (role) {
        case KeyRole::model_math:
        case KeyRole::run_math: return "no";
        case KeyRole::file_content: return "the path only";
        case KeyRole::later_steps: return "yes, and is printed";
        case KeyRole::layout:
        case KeyRole::no_math: return "yes";
    }
    return "";
}

std::string describe_type(const KeySpec& key) {
    switch (key.type) {
        case KeyType::integer: return "an integer" + describe_range(key);
        case KeyType::seed: return "an integer from 0 to 2^64 - 1";
        case KeyType::real: return "a number" + describe_range(key);
        case KeyType::boolean: return "true or false";
        case KeyType::text: return "text";
        case KeyType::choice: return fmt::format("one of {}", join_names(key.choices, ", "));
        case KeyType::sources: return "a prefix of .bin/.idx files, a list of prefixes, or a list of {path, weight}";
        case KeyType::files: return "a file or a list of files";
    }
    return "";
}

}  // namespace gpas
