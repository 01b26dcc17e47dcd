#include "io/config/describe.hpp"

#include "base/error.hpp"
#include "io/config/schema.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gpas {
namespace {

std::string lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return result;
}

bool matches(const KeySpec& key, std::string_view filter) {
    const std::string wanted = lower(filter);
    const auto contains = [&](std::string_view text) { return lower(text).find(wanted) != std::string::npos; };
    return contains(key.name) || contains(key.help) || std::any_of(key.aliases.begin(), key.aliases.end(), contains);
}

std::string type_and_unit(const KeySpec& key) {
    return describe_type(key) + (key.unit.empty() ? "" : " (" + key.unit + ")");
}

// Breaks the text at spaces into lines of at most `width` columns. Each line begins with `indent`.
std::string wrapped(const std::string& text, const std::string& indent, std::size_t width) {
    std::string result;
    std::string line;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t space = std::min(text.find(' ', at), text.size());
        const std::string word = text.substr(at, space - at);
        if (!line.empty() && indent.size() + line.size() + 1 + word.size() > width) {
            result += indent + line + "\n";
            line.clear();
        }
        line += (line.empty() ? "" : " ") + word;
        at = space + 1;
    }
    return result + indent + line + "\n";
}

std::string markdown_cell(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.replace(at, 1, "\\|");
    return text;
}

constexpr const char* markdown_head = R"(# Configuration

`gpas config --markdown` generates this page from the schema (`io/config/schema_*.cpp`). To change the page, change the schema.

    gpas train configs/71m.yaml configs/architectures/sandwich_gpas.yaml training.steps=100

- **Order.** gpas starts from the defaults, then reads each file in order, then the `key=value` overrides. A later value replaces
  an earlier one. A file can include others: `include:` at its top level names one file or a list of files, relative to the
  file's directory. Included files are read before the keys of the file that includes them.
- **Files** contain sections and indented keys (`training:`, then `steps: 100`). **Overrides** name a key with dots
  (`training.steps=100`); their values are YAML (`data.train=[a, b]`).
- **Integers** are written `1000000`, `1_000_000` or `1e6`; `1.0`, `010`, `0x10` and `10k` are refused. **Numbers** are
  finite decimals. **Booleans** are `true` and `false`. Quote text only if YAML requires quotes.
- **Data sources** are a prefix, a list of prefixes, or a list of `{path: prefix, weight: 0.3}`. A prefix names the files
  `prefix.bin` and `prefix.idx`. Paths are relative to the working directory of gpas.
- gpas refuses YAML aliases, YAML tags, several documents per file, a key that is given twice, and a setting that would have no
  effect. The error is `file:line:column: key: what was found, what was expected; what to do`, with exit code 2.
- In a terminal, `gpas config` prints this list. `gpas config WORD` prints the keys that match WORD, which may be a name of
  Megatron-LM, torchtitan or Hugging Face. `gpas config --resolved FILE... key=value...` prints the configuration of a run.
)";

std::string dump(const RunConfig& config, const ConfigPlaces* places) {
    std::string text;
    for (const SectionSpec& section : config_sections()) {
        const auto depth = section.name.empty() ? 0 : 1 + std::count(section.name.begin(), section.name.end(), '.');
        if (depth > 0) {
            const std::string title = section.name.substr(section.name.rfind('.') + 1);
            text += fmt::format("{:{}}{}:\n", "", 2 * (depth - 1), title);
        }
        for (const KeySpec& key : config_keys()) {
            if (key.section != section.name) continue;
            const std::string line = fmt::format("{:{}}{}: {}", "", 2 * depth, key.leaf, format_key(key, config));
            const auto place = places != nullptr ? places->find(key.name) : ConfigPlaces::const_iterator{};
            const bool known = places != nullptr && place != places->end();
            text += known ? fmt::format("{:<44}  # {}\n", line, to_string(place->second)) : line + "\n";
        }
    }
    return text;
}

}  // namespace

std::string describe_schema(std::string_view filter) {
    std::string text;
    for (const SectionSpec& section : config_sections()) {
        std::string keys;
        for (const KeySpec& key : config_keys()) {
            if (key.section != section.name || !matches(key, filter)) continue;
            keys += fmt::format("  {} = {}\n", key.name, default_of(key));
            keys += wrapped(type_and_unit(key), "      ", 100) + wrapped(key.help, "      ", 100) +
                    wrapped("may change on resume: " + describe_resume(key.role), "      ", 100);
        }
        if (!keys.empty()) text += fmt::format("{}{}\n{}", text.empty() ? "" : "\n", section.help, keys);
    }
    return text;
}

std::string describe_schema_as_markdown() {
    std::string text = markdown_head;
    for (const SectionSpec& section : config_sections()) {
        const std::string title = section.name.empty() ? "Top level" : "`" + section.name + "`";
        text += fmt::format(
            "\n## {}\n{}.\n\n| key | default | value | meaning | may change on resume |\n|---|---|---|---|---|\n",
            title, section.help);
        for (const KeySpec& key : config_keys()) {
            if (key.section != section.name) continue;
            text += fmt::format("| `{}` | `{}` | {} | {} | {} |\n", key.name, default_of(key),
                                markdown_cell(type_and_unit(key)), markdown_cell(key.help), describe_resume(key.role));
        }
    }
    return text;
}

std::string dump_config(const RunConfig& config) { return dump(config, nullptr); }
std::string dump_config(const LoadedConfig& config) { return dump(config.values, &config.places); }

}  // namespace gpas
