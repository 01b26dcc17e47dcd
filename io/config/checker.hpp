// Reports contradictions between keys; used by check.cpp only.
#pragma once

#include "base/error.hpp"
#include "io/config/enum_names.hpp"
#include "io/config/load.hpp"
#include "io/config/schema.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace gpas {

class ConfigChecker {
public:
    explicit ConfigChecker(const LoadedConfig& config) : config_(config) {}

    // Refuses the configuration if `wrong`. `keys` are the keys involved, the likeliest culprit first. The message
    // blames the first key that the command line sets, else the first key that a file sets, else the first key. It
    // lists the other keys with their values and places.
    template <class... Args>
    void refuse_if(bool wrong, std::initializer_list<const char*> keys, fmt::format_string<Args...> format,
                   Args&&... args) const {
        if (wrong) refuse(keys, fmt::format(format, std::forward<Args>(args)...));
    }

    // Whether the value of the key differs from its default.
    bool is_changed(const char* name) const {
        const KeySpec& key = *find_key(name);
        return format_key(key, config_.values) != default_of(key);
    }

    // Refuses a key that has no effect and whose value differs from its default. `why`: the reason, as a sentence.
    void refuse_without_effect(const char* name, const std::vector<const char*>& because_of,
                               const std::string& why) const {
        if (!is_changed(name)) return;
        std::vector<const char*> keys{name};
        keys.insert(keys.end(), because_of.begin(), because_of.end());
        refuse(keys, fmt::format("{} = {} would have no effect: {}; delete it or write {}", name,
                                 format_key(*find_key(name), config_.values), why, default_of(*find_key(name))));
    }

private:
    [[noreturn]] void refuse(const std::vector<const char*>& keys, const std::string& message) const {
        const char* blamed = keys.front();
        for (const char* key : keys) {
            if (authority(key) > authority(blamed)) blamed = key;
        }
        std::string others;
        for (const char* key : keys) {
            if (key == blamed) continue;
            others += fmt::format("{}{} = {}, {}", others.empty() ? "" : "; ", key,
                                  format_key(*find_key(key), config_.values), origin_of(key));
        }
        const auto place = config_.places.find(std::string_view(blamed));
        const std::string head =
            place == config_.places.end() ? fmt::format("{}: ", blamed) : message_head(place->second, blamed);
        throw Error(ExitCode::usage, head + message + (others.empty() ? "" : " (" + others + ")"));
    }

    // How deliberately a key was set: 0 default, 1 in a file, 2 on the command line.
    int authority(const char* key) const {
        const auto place = config_.places.find(std::string_view(key));
        if (place == config_.places.end()) return 0;
        return place->second.line > 0 ? 1 : 2;
    }

    std::string origin_of(const char* key) const {
        if (authority(key) == 0) return "the default";
        if (authority(key) == 2) return "from the command line";
        return "from " + to_string(config_.places.find(std::string_view(key))->second);
    }

    const LoadedConfig& config_;
};

}  // namespace gpas
