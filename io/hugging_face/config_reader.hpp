// Reads the values of a config.json key by key, with strict types; used by config.cpp and read_config.cpp only.
#pragma once

#include "io/config/enum_names.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>

namespace gpas {

// The model_type of models that no class of transformers computes (model_class.hpp).
inline constexpr const char* gpas_model_type = "gpas_llama";

// All errors are Error(bad_file) and name the file and the key. A key with the value null counts as absent.
class ConfigReader {
public:
    using json = nlohmann::json;
    explicit ConfigReader(const std::filesystem::path& file);

    const json& root() const { return root_; }
    std::string file() const { return file_.string(); }

    // "FILE: KEY: found …, expected …"
    [[noreturn]] void refuse(const std::string& key, const json& found, const std::string& expected) const;

    // nullptr if the key is absent.
    const json* find(const json& object, const char* key) const;
    // The value of a key; `absent` if the key is absent.
    std::int64_t integer(const json& object, const char* key, std::int64_t absent) const;  // from 0 to 2^40
    double real(const json& object, const char* key, double absent) const;
    bool flag(const json& object, const char* key, bool absent) const;
    std::string text(const json& object, const char* key, const std::string& absent) const;
    template <class E>
    E name(const json& object, const char* key, E absent) const {
        const std::string found = text(object, key, std::string(name_of(absent)));
        std::string known;
        for (const EnumName<E>& entry : enum_names<E>()) {
            if (entry.name == found) return entry.value;
            known += (known.empty() ? "" : ", ") + std::string(entry.name);
        }
        refuse(key, found, "one of " + known);
    }
    // An integer at the top level that must be present.
    std::int64_t needed(const char* key) const;
    // Fails if the top-level key has another value than `only`. `why` follows the expected value in the message.
    void must_be(const char* key, const json& only, const char* why) const;

private:
    std::filesystem::path file_;
    json root_;
};

}  // namespace gpas
