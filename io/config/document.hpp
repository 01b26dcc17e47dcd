// Parses a YAML text into a tree whose nodes hold their places (file, line, column). Nothing else uses yaml-cpp's
// parser.
#pragma once

#include "io/config/place.hpp"

#include <string>
#include <vector>

namespace gpas {

struct ConfigEntry;

struct ConfigNode {
    enum class Kind { nothing, scalar, sequence, mapping } kind = Kind::nothing;
    ConfigPlace place = {};
    std::string text = {};               // scalar
    bool quoted = false;                 // scalar: written in quotes, and therefore text
    std::vector<ConfigNode> items = {};  // sequence
    std::vector<ConfigEntry> entries;    // mapping: in the order of the file, each key once
};

struct ConfigEntry {
    std::string key;
    ConfigPlace place;
    ConfigNode value;
};

// The node as messages describe it: 'abc', "nothing", "a list" or "a mapping".
std::string describe_found(const ConfigNode& node);

// The only document of `text`. An empty text or document becomes Kind::nothing. `origin` is the file's path. With
// `with_lines` false (command line), places have no lines. Error(usage) with the place if the text is not valid YAML,
// is nested deeper than any configuration, uses aliases or tags, or repeats a key in one mapping.
ConfigNode parse_document(const std::string& text, const std::string& origin, bool with_lines = true);

// The text of a configuration file. Error(usage) if the path is a folder, or if the file cannot be read or is too large
// for a configuration.
std::string read_config_file(const std::string& path);

}  // namespace gpas
