#include "io/config/document.hpp"

#include "base/bytes_text.hpp"
#include "base/error.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace gpas {
namespace {

// Exceeds the depth of every key of the schema. The limit keeps hostile files from exhausting the stack.
constexpr std::size_t deepest = 16;
constexpr std::size_t most_keys = 1000;  // per mapping; bounds the search for repeated keys
constexpr std::size_t largest_file_bytes = std::size_t(1) << 20;

class TreeBuilder : public YAML::EventHandler {
public:
    TreeBuilder(const std::string& origin, bool with_lines) : origin_(origin), with_lines_(with_lines) {}

    ConfigNode root;
    // The place of the last complete scalar: the place of an error that yaml-cpp reports at the end of the file.
    ConfigPlace last_scalar;

    ConfigPlace place_of(const YAML::Mark& mark) const {
        if (!with_lines_ || mark.is_null()) return {origin_, 0, 0};
        return {origin_, mark.line + 1, mark.column + 1};
    }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add({ConfigNode::Kind::nothing, place_of(mark)}); }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        fail(ExitCode::usage,
             "{}: found a YAML alias (*name), expected the value itself; write it out, or share settings between files "
             "with include:",
             to_string(place_of(mark)));
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
        refuse_tag(mark, tag);
        ConfigNode node{ConfigNode::Kind::scalar, place_of(mark)};
        last_scalar = node.place;
        node.text = value;
        node.quoted = tag == "!";
        add(std::move(node));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {
        open(ConfigNode::Kind::sequence, mark, tag);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {
        open(ConfigNode::Kind::mapping, mark, tag);
    }
    void OnMapEnd() override { close(); }

private:
    // A collection whose end was not read yet, and the key whose value comes next.
    struct Open {
        ConfigNode node;
        bool has_key = false;
        std::string key = {};
        ConfigPlace key_place = {};
    };

    void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
        if (tag.empty() || tag == "?" || tag == "!") return;
        fail(ExitCode::usage, "{}: found the YAML tag {}, expected a plain value; delete the tag",
             to_string(place_of(mark)), quote_found(tag));
    }

    void open(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag) {
        refuse_tag(mark, tag);
        if (stack_.size() >= deepest) {
            fail(ExitCode::usage,
                 "{}: found more than {} levels of nesting, expected at most three: section, key, value",
                 to_string(place_of(mark)), deepest);
        }
        if (expects_key()) refuse_key(place_of(mark));
        stack_.push_back({{kind, place_of(mark)}});
    }

    void close() {
        ConfigNode node = std::move(stack_.back().node);
        stack_.pop_back();
        add(std::move(node));
    }

    bool expects_key() const {
        return !stack_.empty() && stack_.back().node.kind == ConfigNode::Kind::mapping && !stack_.back().has_key;
    }

    [[noreturn]] void refuse_key(const ConfigPlace& place) const {
        fail(ExitCode::usage,
             "{}: not valid YAML: found a list, a mapping or nothing where a key was expected; write 'key: value' and "
             "close all brackets and quotes",
             to_string(place));
    }

    void add(ConfigNode node) {
        if (stack_.empty()) {
            root = std::move(node);
            return;
        }
        Open& parent = stack_.back();
        if (parent.node.kind == ConfigNode::Kind::sequence) {
            parent.node.items.push_back(std::move(node));
        } else if (!parent.has_key) {
            take_key(parent, node);
        } else {
            if (node.kind == ConfigNode::Kind::nothing) node.place = parent.key_place;  // yaml-cpp points past the line
            parent.node.entries.push_back({std::move(parent.key), parent.key_place, std::move(node)});
            parent.has_key = false;
        }
    }

    void take_key(Open& parent, const ConfigNode& node) const {
        if (node.kind != ConfigNode::Kind::scalar) refuse_key(node.place);
        const auto& entries = parent.node.entries;
        const auto twice = std::find_if(entries.begin(), entries.end(),
                                        [&](const ConfigEntry& entry) { return entry.key == node.text; });
        if (twice != entries.end()) {
            fail(ExitCode::usage, "{}found a second time (first: {}), expected once; delete one of the two",
                 message_head(node.place, node.text), to_string(twice->place));
        }
        if (entries.size() >= most_keys) {
            fail(ExitCode::usage,
                 "{}: found more than {} keys in one mapping, expected a configuration; is this the "
                 "right file?",
                 to_string(node.place), most_keys);
        }
        parent.has_key = true;
        parent.key = node.text;
        parent.key_place = node.place;
    }

    std::string origin_;
    bool with_lines_;
    std::vector<Open> stack_;
};

// yaml-cpp treats the byte 0x04 as the end of the text and would silently ignore the rest.
void refuse_control_characters(const std::string& text, const std::string& origin) {
    int line = 1;
    int column = 1;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) {
            fail(ExitCode::usage, "{}:{}:{}: found the control character 0x{:02x}, expected YAML text in UTF-8", origin,
                 line, column, static_cast<unsigned>(byte));
        }
        column = c == '\n' ? 1 : column + 1;
        if (c == '\n') ++line;
    }
}

bool indented_with_tab(const std::string& text, int line_index) {
    std::istringstream lines(text);
    std::string line;
    for (int i = 0; i <= line_index && std::getline(lines, line); ++i) {
        const std::size_t first = line.find_first_not_of(" \t");
        if (first != std::string::npos && line.find('\t') < first) return true;
    }
    return false;
}

[[noreturn]] void fail_invalid(const YAML::Exception& error, const std::string& text, const TreeBuilder& tree,
                               const ConfigPlace& place) {
    if (error.msg == YAML::ErrorMsg::EOF_IN_SCALAR) {
        fail(ExitCode::usage, "{}: not valid YAML: a quote is opened after this place and never closed; close it",
             to_string(tree.last_scalar.origin.empty() ? place : tree.last_scalar));
    }
    const char* advice = indented_with_tab(text, std::max(error.mark.line, 0))
                             ? "indent with spaces, YAML does not allow tabs"
                             : "check indentation, colons, brackets and quotes here and just above";
    fail(ExitCode::usage, "{}: not valid YAML: {}; {}", to_string(place), on_one_line(error.msg), advice);
}

}  // namespace

std::string describe_found(const ConfigNode& node) {
    switch (node.kind) {
        case ConfigNode::Kind::nothing: return "nothing";
        case ConfigNode::Kind::scalar: return (node.quoted ? "the quoted text " : "") + quote_found(node.text);
        case ConfigNode::Kind::sequence: return "a list";
        case ConfigNode::Kind::mapping: return "a mapping";
    }
    return "";
}

ConfigNode parse_document(const std::string& text, const std::string& origin, bool with_lines) {
    refuse_control_characters(text, origin);
    TreeBuilder tree(origin, with_lines);
    try {
        // yaml-cpp treats the end of the file as a closing quote, but only at the beginning of a line.
        std::istringstream stream(text + "\n#");
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(tree)) return {ConfigNode::Kind::nothing, {origin, 0, 0}};
        TreeBuilder rest(origin, with_lines);
        if (parser.HandleNextDocument(rest)) {
            fail(ExitCode::usage,
                 "{}: found a second YAML document (---), expected one; delete the separator or split the file",
                 to_string(rest.root.place));
        }
    } catch (const YAML::Exception& error) {
        fail_invalid(error, text, tree, tree.place_of(error.mark));
    }
    return std::move(tree.root);
}

std::string read_config_file(const std::string& path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
        fail(ExitCode::usage, "{}: found a folder, expected a YAML file; name a file in it", path);
    }
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        fail(ExitCode::usage,
             "{}: cannot read the configuration: {}; check the path (an override has the form key=value)", path,
             errno != 0 ? std::strerror(errno) : "unknown reason");
    }
    std::string text(largest_file_bytes + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > largest_file_bytes) {
        fail(ExitCode::usage, "{}: found more than {}, expected a configuration; is this the right file?", path,
             bytes_text(double(largest_file_bytes)));
    }
    return text;
}

}  // namespace gpas
