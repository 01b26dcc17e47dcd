// A YAML text as a small tree in which every node knows its place. The only user of yaml-cpp's parser.
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
    bool quoted = false;                 // scalar: written in quotes, so meant as text
    std::vector<ConfigNode> items = {};  // sequence
    std::vector<ConfigEntry> entries;    // mapping, in the order of the file, no key twice
};

struct ConfigEntry {
    std::string key;
    ConfigPlace place;
    ConfigNode value;
};

// What a message calls it: 'abc', nothing, a list, a mapping.
std::string describe_found(const ConfigNode& node);

// The one document of `text`. An empty text or document is Kind::nothing. Error(usage) with the place for what is not
// valid YAML, is nested deeper than any configuration, uses aliases or tags, or has a key twice in one mapping.
// `origin` is the file's path; `with_lines` false (command line) leaves lines out of the places.
ConfigNode parse_document(const std::string& text, const std::string& origin, bool with_lines = true);

// The text of a configuration file; Error(usage) if it cannot be read, is a folder, or is too large to be one.
std::string read_config_file(const std::string& path);

}  // namespace gpas
