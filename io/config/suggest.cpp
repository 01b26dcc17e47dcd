#include "io/config/suggest.hpp"

#include "base/error.hpp"
#include "base/join_names.hpp"
#include "io/config/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace gpas {
namespace {

constexpr std::size_t longest_compared = 100;  // longer than any key; bounds the table below

// Users write names of other programs as --train-iters, TrainIters or train_iters.
std::string normalised(std::string_view name) {
    std::string result;
    for (const char c : name) {
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        result += lower == '-' ? '_' : lower;
    }
    result.erase(0, result.find_first_not_of('_'));
    return result;
}

std::string leaf_of(std::string_view dotted) {
    const std::size_t dot = dotted.rfind('.');
    return std::string(dot == std::string_view::npos ? dotted : dotted.substr(dot + 1));
}

std::string section_of(std::string_view dotted) {
    const std::size_t dot = dotted.rfind('.');
    return std::string(dot == std::string_view::npos ? std::string_view() : dotted.substr(0, dot));
}

std::string how_to_write(const KeySpec& key) {
    if (key.section.empty()) return fmt::format("write {} at the top level, outside every section", key.name);
    return fmt::format("write it under '{}:' in a file, or as {}=... on the command line", key.section, key.name);
}

std::string describe_key(const KeySpec& key) {
    return fmt::format("{} ({}{}{})", key.name, describe_type(key), key.unit.empty() ? "" : ", ", key.unit);
}

const KeySpec* key_with_alias(const std::string& leaf) {
    for (const KeySpec& key : config_keys()) {
        if (std::find(key.aliases.begin(), key.aliases.end(), leaf) != key.aliases.end()) return &key;
    }
    return nullptr;
}

std::string join_or(const std::vector<std::string>& names) {
    if (names.size() == 1) return names[0];
    return fmt::format("{} or {}", join_names({names.begin(), names.end() - 1}, ", "), names.back());
}

std::string nearest_key(const std::string& section, const std::string& leaf) {
    std::vector<std::string> here;
    std::vector<std::string> everywhere;
    for (const KeySpec& key : config_keys()) {
        (key.section == section ? here : everywhere).push_back(key.leaf);
    }
    if (const std::string found = nearest(leaf, here); !found.empty()) {
        return section.empty() ? found : section + "." + found;
    }
    const std::string found = nearest(leaf, everywhere);
    for (const KeySpec& key : config_keys()) {
        if (!found.empty() && key.leaf == found) return key.name;
    }
    return "";
}

std::string list_section(const std::string& section) {
    std::vector<std::string> names;
    for (const KeySpec& key : config_keys()) {
        if (key.section == section) names.push_back(key.leaf);
    }
    for (const SectionSpec& other : config_sections()) {
        if (!other.name.empty() && section_of(other.name) == section) names.push_back(leaf_of(other.name));
    }
    return fmt::format("{} has {}; `gpas config` explains each", section.empty() ? "the top level" : section,
                       join_names(names, ", "));
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
    a = a.substr(0, longest_compared);
    b = b.substr(0, longest_compared);
    std::vector<std::vector<int>> table(a.size() + 1, std::vector<int>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                table[i][j] = static_cast<int>(i + j);
                continue;
            }
            const bool same = a[i - 1] == b[j - 1];
            table[i][j] = std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
            }
        }
    }
    return table[a.size()][b.size()];
}

bool is_near(std::string_view a, std::string_view b) {
    const int longer = static_cast<int>(std::max(a.size(), b.size()));
    return edit_distance(a, b) <= std::max(1, longer / 3);
}

std::string advice_for_unknown_key(std::string_view dotted_name, bool value_is_mapping) {
    const std::string leaf = normalised(leaf_of(dotted_name));
    const std::string section = section_of(dotted_name);
    if (leaf == "include")
        return "'include:' stands at the top level of a file; name further files before the overrides";

    std::vector<std::string> section_names;
    for (const SectionSpec& known : config_sections()) {
        if (!known.name.empty()) section_names.push_back(known.name);
    }
    if (value_is_mapping) {
        for (const std::string& name : section_names) {
            if (leaf_of(name) == leaf) return fmt::format("did you mean the section {}?", name);
        }
        if (const std::string found = nearest(std::string(dotted_name), section_names); !found.empty()) {
            return fmt::format("did you mean the section {}?", found);
        }
        return fmt::format("the sections are {}", join_names(section_names, ", "));
    }
    if (!section.empty() && !is_section(section)) {  // only an override can name a key inside an unknown section
        const std::string found = nearest(section, section_names);
        if (find_key(found + "." + leaf) != nullptr) return fmt::format("did you mean {}.{}?", found, leaf);
    }

    std::vector<std::string> elsewhere;
    for (const KeySpec& key : config_keys()) {
        if (key.leaf == leaf) elsewhere.push_back(key.name);
    }
    if (elsewhere.size() == 1) {
        return fmt::format("did you mean {}? {}", elsewhere[0], how_to_write(*find_key(elsewhere[0])));
    }
    if (const KeySpec* key = key_with_alias(leaf))
        return fmt::format("gpas calls it {}: {}", describe_key(*key), key->help);
    if (elsewhere.size() > 1) return fmt::format("did you mean {}?", join_or(elsewhere));
    if (const std::string found = nearest_key(section, leaf); !found.empty()) {
        return fmt::format("did you mean {}?", found);
    }
    return is_section(section) ? list_section(section) : list_section("");
}

}  // namespace gpas
