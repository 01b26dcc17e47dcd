#include "io/config/load.hpp"

#include "base/error.hpp"
#include "base/join_names.hpp"
#include "io/config/check.hpp"
#include "io/config/document.hpp"
#include "io/config/enum_names.hpp"
#include "io/config/no_effect.hpp"
#include "io/config/read_value.hpp"
#include "io/config/schema.hpp"
#include "io/config/suggest.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

namespace gpas {
namespace {

// Limits the number of files read. Without it, a chain of n files that each include the next one twice would cause 2^n
// reads. Real runs read a handful of files.
constexpr int most_files = 100;

class Loader {
public:
    LoadedConfig result;

    void load_file(const std::string& path) {
        std::error_code ignored;
        const auto real_path = std::filesystem::weakly_canonical(path, ignored).string();
        if (++files_loaded_ > most_files) {
            fail(ExitCode::usage, "{}: found more than {} included files, expected fewer; merge some of them", path,
                 most_files);
        }
        chain_.push_back(real_path);
        apply_file(parse_document(read_config_file(path), path), path, true);
        chain_.pop_back();
    }

    void load_text(const std::string& text, const std::string& origin) {
        apply_file(parse_document(text, origin), origin, false);
    }

    void apply_override(const std::string& argument) {
        const std::size_t equals = argument.find('=');
        const std::string origin = "command line: " + on_one_line(argument);
        if (equals == std::string::npos || equals == 0) {
            fail(ExitCode::usage, "{}: found no key=value, expected one, as in training.steps=1000", origin);
        }
        const std::string key = argument.substr(0, equals);
        const std::string text = argument.substr(equals + 1);
        ConfigNode value = parse_document(text, origin, false);
        value.place = {origin, 0, 0};
        const KeySpec* spec = find_key(key);
        if (value.kind == ConfigNode::Kind::nothing && spec != nullptr && spec->type == KeyType::text && text.empty()) {
            value.kind = ConfigNode::Kind::scalar;  // "data.tokenizer=" sets the empty text
        }
        ++source_;
        apply({key, {origin, 0, 0}, std::move(value)}, "");
    }

    // If a file or override sets data.valid, it replaces a valid_fraction that an earlier one has set.
    void let_valid_replace_fraction() {
        const auto fraction = set_by_.find("data.valid_fraction");
        const auto valid = set_by_.find("data.valid");
        if (fraction == set_by_.end() || valid == set_by_.end() || valid->second <= fraction->second) return;
        if (result.values.data.valid.empty()) return;
        result.values.data.valid_fraction = DataConfig().valid_fraction;
        result.places.erase("data.valid_fraction");
    }

private:
    void apply_file(const ConfigNode& root, const std::string& path, bool may_include) {
        if (root.kind == ConfigNode::Kind::nothing) {
            fail(ExitCode::usage,
                 "{}: found an empty file, expected keys such as 'name: run'; `gpas config` lists them", path);
        }
        if (root.kind != ConfigNode::Kind::mapping) {
            fail(ExitCode::usage, "{}: found {}, expected a mapping ('key: value' lines); is this a configuration?",
                 to_string(root.place), describe_found(root));
        }
        for (const ConfigEntry& entry : root.entries) {
            if (entry.key == "include") include(entry, path, may_include);
        }
        ++source_;
        for (const ConfigEntry& entry : root.entries) {
            if (entry.key != "include") apply(entry, "");
        }
    }

    void include(const ConfigEntry& entry, const std::string& from, bool may_include) {
        if (!may_include) {
            fail(ExitCode::usage, "{}found an include in a resolved configuration, expected values only",
                 message_head(entry.place, "include"));
        }
        if (entry.value.kind != ConfigNode::Kind::sequence) return include_one(entry.value, from);
        for (const ConfigNode& item : entry.value.items) include_one(item, from);
    }

    void include_one(const ConfigNode& node, const std::string& from) {
        const std::string head = message_head(node.place, "include");
        if (node.kind != ConfigNode::Kind::scalar || node.text.empty()) {
            fail(ExitCode::usage, "{}found {}, expected a file name or a list of file names, relative to {}", head,
                 describe_found(node), from);
        }
        const std::string path = (std::filesystem::path(from).parent_path() / node.text).lexically_normal().string();
        std::error_code ignored;
        const auto real_path = std::filesystem::weakly_canonical(path, ignored).string();
        if (std::find(chain_.begin(), chain_.end(), real_path) != chain_.end()) {
            fail(ExitCode::usage, "{}{} includes itself: {} -> {}; remove one include from this cycle", head, path,
                 join_names(chain_, " -> "), real_path);
        }
        if (!std::filesystem::exists(path, ignored)) {
            fail(ExitCode::usage, "{}found no file {}; the path is relative to the folder of {}", head, path, from);
        }
        load_file(path);
    }

    // Loads an entry of the mapping `section`: a sub-section, or a key with its value.
    void apply(const ConfigEntry& entry, const std::string& section) {
        const std::string name = section.empty() ? entry.key : section + "." + entry.key;
        const bool dotted = entry.key.find('.') != std::string::npos && entry.place.line > 0;  // allowed in overrides
        if (dotted) refuse_dotted(entry, name);
        if (const KeySpec* key = find_key(name)) {
            key->set(result.values, read_value(*key, entry.value));
            result.places[name] = entry.value.place;
            set_by_[name] = source_;
        } else if (!name.empty() && is_section(name)) {
            apply_section(entry.value, name);
        } else {
            refuse_unknown(entry, name);
        }
    }

    void apply_section(const ConfigNode& node, const std::string& name) {
        if (node.kind == ConfigNode::Kind::nothing) return;  // all keys of the section are commented out
        if (node.kind != ConfigNode::Kind::mapping) {
            fail(ExitCode::usage, "{}found {}, expected a mapping with its keys; {}", message_head(node.place, name),
                 describe_found(node), advice_for_unknown_key(name + ".", false));
        }
        for (const ConfigEntry& entry : node.entries) apply(entry, name);
    }

    // Files have only one spelling for a key, so that a key that is set twice is always detected.
    [[noreturn]] void refuse_dotted(const ConfigEntry& entry, const std::string& name) {
        if (find_key(name) == nullptr && find_key(entry.key) == nullptr) refuse_unknown(entry, name);
        const std::size_t dot = entry.key.rfind('.');
        fail(ExitCode::usage, "{}found a dotted key, expected sections in a file; write '{}:' and '{}:' indented below",
             message_head(entry.place, name), entry.key.substr(0, dot), entry.key.substr(dot + 1));
    }

    [[noreturn]] void refuse_unknown(const ConfigEntry& entry, const std::string& name) {
        fail(ExitCode::usage, "{}unknown key; {}", message_head(entry.place, name),
             advice_for_unknown_key(name, entry.value.kind == ConfigNode::Kind::mapping));
    }

    std::vector<std::string> chain_;  // files being loaded, outermost first
    int files_loaded_ = 0;
    int source_ = 0;                     // number of files and overrides read so far
    std::map<std::string, int> set_by_;  // by key: the file or override that set it last
};

void replace_all(std::string& text, std::string_view from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
}

// With {seed} and {architecture}, the runs of a comparison get different directories from one configuration file.
void fill_in_directory(RunConfig& config) {
    replace_all(config.directory, "{architecture}", std::string(name_of(config.model.architecture)));
    replace_all(config.directory, "{seed}", std::to_string(config.seed));
    replace_all(config.directory, "{name}", config.name);
}

LoadedConfig finish(Loader& loader, const std::vector<std::string>& overrides,
                    const std::function<void(LoadedConfig&)>& before_checks = {}) {
    for (const std::string& argument : overrides) loader.apply_override(argument);
    loader.let_valid_replace_fraction();
    fill_in_directory(loader.result.values);
    if (before_checks) before_checks(loader.result);
    check_config(loader.result);
    return std::move(loader.result);
}

}  // namespace

LoadedConfig load_config(const std::vector<std::string>& files, const std::vector<std::string>& overrides,
                         const std::function<void(LoadedConfig&)>& before_checks) {
    Loader loader;
    for (const std::string& file : files) loader.load_file(file);
    return finish(loader, overrides, before_checks);
}

LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides) {
    return load_config(std::vector<std::string>{file}, overrides);
}

LoadedConfig load_config_text(const std::string& text, const std::string& origin,
                              const std::vector<std::string>& overrides) {
    Loader loader;
    loader.load_text(text, origin);
    return finish(loader, overrides);
}

RunConfig stored_config(const std::string& text, const std::string& file, const std::string& software) {
    const std::string origin = file + " (its configuration)";
    Loader loader;
    try {
        loader.load_text(text, origin);
    } catch (const Error& error) {
        fail(error.code(), "{} (the file was written by {}; read it with that version)", error.what(),
             software.empty() ? "another version of gpas" : software);
    }
    return without_ineffective_keys(loader.result.values);
}

ConfigArguments split_config_arguments(const std::vector<std::string>& arguments) {
    ConfigArguments result;
    for (const std::string& argument : arguments) {
        const std::size_t equals = argument.find('=');
        const bool is_override = equals != std::string::npos && argument.find('/') > equals;
        (is_override ? result.overrides : result.files).push_back(argument);
    }
    return result;
}

}  // namespace gpas
