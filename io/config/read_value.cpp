#include "io/config/read_value.hpp"

#include "base/error.hpp"
#include "io/config/suggest.hpp"

#include <charconv>
#include <cmath>

namespace gpas {
namespace {

[[noreturn]] void refuse(const KeySpec& key, const ConfigNode& node, const std::string& advice) {
    fail(ExitCode::usage, "{}found {}, expected {}{}{}", message_head(node.place, key.name), describe_found(node),
         describe_type(key), advice.empty() ? "" : "; ", advice);
}

[[noreturn]] void refuse_range(const KeySpec& key, const ConfigNode& node) {
    fail(ExitCode::usage, "{}found {}, expected {} ({})", message_head(node.place, key.name), describe_found(node),
         describe_type(key), key.help.substr(0, key.help.find_last_not_of('.') + 1));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The text without the underscores between digits; nullopt if there is an underscore anywhere else.
std::optional<std::string> without_underscores(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '_') {
            plain += text[i];
        } else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
            return std::nullopt;
        }
    }
    if (plain.starts_with('+') && !plain.starts_with("+-")) plain.erase(0, 1);
    if (plain.starts_with('-') || (!plain.empty() && (is_digit(plain[0]) || plain[0] == '.'))) return plain;
    return std::nullopt;  // also refuses "inf" and "nan"
}

template <class T>
std::optional<T> parse_whole(const std::string& text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool has_leading_zero(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    return text.size() > 1 && text[0] == '0' && is_digit(text[1]);  // ambiguous: octal in YAML 1.1
}

// Never advises a value that would be refused.
std::string advice_for_integer(const KeySpec& key, const ConfigNode& node) {
    const ValueRange range = key.type == KeyType::seed ? ValueRange{0, 0x1p64, false, true} : key.range;
    if (node.quoted && parse_integer(node.text)) return "remove the quotes";
    if (const auto real = parse_real(node.text)) {
        if (!range.contains(*real)) return "";
        if (*real == std::floor(*real) && std::fabs(*real) < 9e15) return fmt::format("write {:.0f}", *real);
        return *real == std::floor(*real) ? "" : "a fraction is not allowed";
    }
    if (node.text.size() > 1 && std::string_view("kKmMbBgG").find(node.text.back()) != std::string_view::npos) {
        return "write all digits, such as 10000, 10_000 or 1e4";
    }
    return "";
}

std::string advice_for_real(const ConfigNode& node) {
    if (node.quoted && parse_real(node.text)) return "remove the quotes";
    if (node.text.find("nan") != std::string::npos || node.text.find("inf") != std::string::npos) {
        return "it must be finite";
    }
    if (node.text.find(',') != std::string::npos) return "the decimal separator is a point";
    if (node.text.ends_with('%')) return "write 0.1 for 10%";
    return "";
}

std::string advice_for_boolean(const ConfigNode& node) {
    if (node.quoted) return "write it without quotes";
    for (const char* yes : {"yes", "Yes", "YES", "on", "On", "ON", "True", "TRUE", "1", "y"}) {
        if (node.text == yes) return "write true";
    }
    for (const char* no : {"no", "No", "NO", "off", "Off", "OFF", "False", "FALSE", "0", "n"}) {
        if (node.text == no) return "write false";
    }
    return "";
}

ConfigValue read_integer(const KeySpec& key, const ConfigNode& node) {
    const auto value = node.quoted ? std::nullopt : parse_integer(node.text);
    if (!value) refuse(key, node, advice_for_integer(key, node));
    if (!key.range.contains(static_cast<double>(*value))) refuse_range(key, node);
    return *value;
}

ConfigValue read_seed(const KeySpec& key, const ConfigNode& node) {
    const auto plain = node.quoted ? std::nullopt : without_underscores(node.text);
    auto value = plain && !has_leading_zero(*plain) ? parse_whole<std::uint64_t>(*plain) : std::nullopt;
    if (const auto integer = plain ? parse_integer(node.text) : std::nullopt; !value && integer && *integer >= 0)
        value = std::uint64_t(*integer);  // written as 1e6
    if (!value) refuse(key, node, advice_for_integer(key, node));
    return *value;
}

ConfigValue read_real(const KeySpec& key, const ConfigNode& node) {
    const auto value = node.quoted ? std::nullopt : parse_real(node.text);
    if (!value) refuse(key, node, advice_for_real(node));
    if (!key.range.contains(*value)) refuse_range(key, node);
    return *value;
}

ConfigValue read_boolean(const KeySpec& key, const ConfigNode& node) {
    if (!node.quoted && node.text == "true") return true;
    if (!node.quoted && node.text == "false") return false;
    refuse(key, node, advice_for_boolean(node));
}

ConfigValue read_choice(const KeySpec& key, const ConfigNode& node) {
    for (const std::string& choice : key.choices) {
        if (choice == node.text) return choice;
    }
    const std::string near = nearest(node.text, key.choices);
    refuse(key, node, near.empty() ? "" : fmt::format("did you mean {}?", near));
}

std::string read_prefix(const KeySpec& key, const ConfigNode& node) {
    if (node.kind != ConfigNode::Kind::scalar || node.text.empty()) refuse(key, node, "");
    if (!node.quoted && parse_real(node.text)) refuse(key, node, "write weights as {path: prefix, weight: 0.3}");
    if (node.text.ends_with(".bin") || node.text.ends_with(".idx")) {
        refuse(key, node, fmt::format("leave '{}' out", node.text.substr(node.text.size() - 4)));
    }
    return node.text;
}

double read_weight(const KeySpec& key, const ConfigNode& node) {
    const auto weight = node.kind == ConfigNode::Kind::scalar && !node.quoted ? parse_real(node.text) : std::nullopt;
    if (!weight || *weight <= 0) {
        fail(ExitCode::usage, "{}found {} as weight, expected a number > 0; to leave a source out, delete its entry",
             message_head(node.place, key.name), describe_found(node));
    }
    return *weight;
}

DataSource read_source(const KeySpec& key, const ConfigNode& node) {
    if (node.kind != ConfigNode::Kind::mapping) return {read_prefix(key, node), 1.0};
    DataSource source;
    for (const ConfigEntry& entry : node.entries) {
        if (entry.key == "path") {
            source.path = read_prefix(key, entry.value);
        } else if (entry.key == "weight") {
            source.weight = read_weight(key, entry.value);
        } else {
            fail(ExitCode::usage, "{}found {} in a source, expected only path and weight",
                 message_head(entry.place, key.name), quote_found(entry.key));
        }
    }
    if (source.path.empty()) {
        fail(ExitCode::usage, "{}found a source without path, expected {{path: prefix, weight: number}}",
             message_head(node.place, key.name));
    }
    return source;
}

ConfigValue read_sources(const KeySpec& key, const ConfigNode& node) {
    if (node.kind == ConfigNode::Kind::nothing) refuse(key, node, "write [] for none");
    if (node.kind != ConfigNode::Kind::sequence) return std::vector<DataSource>{read_source(key, node)};
    std::vector<DataSource> sources;
    for (const ConfigNode& item : node.items) sources.push_back(read_source(key, item));
    return sources;
}

std::string read_file_name(const KeySpec& key, const ConfigNode& node) {
    if (node.kind != ConfigNode::Kind::scalar || node.text.empty()) refuse(key, node, "");
    return node.text;
}

ConfigValue read_files(const KeySpec& key, const ConfigNode& node) {
    if (node.kind == ConfigNode::Kind::nothing) refuse(key, node, "write [] for no file");
    if (node.kind != ConfigNode::Kind::sequence) return std::vector<std::string>{read_file_name(key, node)};
    std::vector<std::string> files;
    for (const ConfigNode& item : node.items) files.push_back(read_file_name(key, item));
    return files;
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
    const auto plain = without_underscores(text);
    if (!plain || has_leading_zero(*plain)) return std::nullopt;
    if (const auto value = parse_whole<std::int64_t>(*plain)) return value;
    const std::size_t e = plain->find_first_of("eE");
    if (e == std::string::npos) return std::nullopt;
    auto value = parse_whole<std::int64_t>(plain->substr(0, e));
    const std::string exponent_text = plain->substr(e + (plain->substr(e + 1).starts_with('+') ? 2 : 1));
    const auto exponent = parse_whole<std::int64_t>(exponent_text);
    if (!value || !exponent || *exponent < 0 || *exponent > 18) return std::nullopt;
    for (std::int64_t i = 0; i < *exponent; ++i) {
        if (__builtin_mul_overflow(*value, std::int64_t(10), &*value)) return std::nullopt;
    }
    return value;
}

std::optional<double> parse_real(std::string_view text) {
    const auto plain = without_underscores(text);
    const auto value =
        plain && !plain->starts_with("-i") && !plain->starts_with("-n") ? parse_whole<double>(*plain) : std::nullopt;
    return value && std::isfinite(*value) ? value : std::nullopt;
}

ConfigValue read_value(const KeySpec& key, const ConfigNode& node) {
    if (key.type == KeyType::sources) return read_sources(key, node);
    if (key.type == KeyType::files) return read_files(key, node);
    if (node.kind != ConfigNode::Kind::scalar) {
        const bool empty_text = node.kind == ConfigNode::Kind::nothing && key.type == KeyType::text;
        const std::string advice = empty_text                               ? "write \"\" for empty text"
                                   : node.kind == ConfigNode::Kind::nothing ? "write a value or delete the line"
                                                                            : "write one value";
        refuse(key, node, advice);
    }
    switch (key.type) {
        case KeyType::integer: return read_integer(key, node);
        case KeyType::seed: return read_seed(key, node);
        case KeyType::real: return read_real(key, node);
        case KeyType::boolean: return read_boolean(key, node);
        case KeyType::choice: return read_choice(key, node);
        default: return node.text;
    }
}

}  // namespace gpas
