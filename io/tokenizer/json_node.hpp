// Reads the values of a tokenizer's JSON file key by key; errors name the file and the place.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace gpas {

// A value in a JSON file. Refers to the value: the document must outlive it. All errors are Error(bad_file).
class JsonNode {
public:
    using json = nlohmann::json;
    JsonNode(const json& value, std::string place) : value_(value), place_(std::move(place)) {}

    const json& value() const { return value_; }
    const std::string& place() const { return place_; }  // "FILE: model.merges"

    // "PLACE: found …, expected EXPECTED"
    [[noreturn]] void refuse(const std::string& expected) const;

    // The value of a key; nothing if the key is absent or null. Error if this value is not an object.
    std::optional<JsonNode> find(const char* key) const;
    JsonNode at(const char* key) const;                // Error if the key is absent or null
    JsonNode element(std::size_t index) const;         // of a list
    std::size_t size() const;                          // of a list; Error if this value is not a list
    std::string text() const;                          // Error if this value is not a string
    std::int64_t integer(std::int64_t largest) const;  // Error if this value is not an integer from 0 to `largest`
    bool flag(const char* key, bool absent) const;
    std::string type() const { return at("type").text(); }  // the name of a component

private:
    const json& value_;
    std::string place_;
};

// A value as one line of ASCII for a message: a text in quotes, with escapes. Long values are cut.
std::string shown(const nlohmann::json& value);

// A name: itself, or as shown() if it is not made of printable ASCII characters.
std::string plain_name(const std::string& name);

// Parses the bytes of a file. Error(bad_file) if they are not a JSON object.
nlohmann::json parse_tokenizer_json(const std::string& bytes, const std::string& name);

}  // namespace gpas
