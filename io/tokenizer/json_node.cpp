#include "io/tokenizer/json_node.hpp"

#include "base/error.hpp"

#include <algorithm>

namespace gpas {
namespace {

constexpr std::size_t shown_characters = 60;

}  // namespace

std::string shown(const nlohmann::json& value) {
    std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (text.size() > shown_characters) text = text.substr(0, shown_characters) + "...";
    return text;
}

std::string plain_name(const std::string& name) {
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
    return plain && name.size() <= shown_characters ? name : shown(name);
}

void JsonNode::refuse(const std::string& expected) const {
    fail(ExitCode::bad_file, "{}: found {}, expected {}", place_, shown(value_), expected);
}

std::optional<JsonNode> JsonNode::find(const char* key) const {
    if (!value_.is_object()) refuse("an object");
    const auto found = value_.find(key);
    if (found == value_.end() || found->is_null()) return std::nullopt;
    const bool top = place_.find(": ") == std::string::npos;
    return JsonNode(*found, fmt::format("{}{}{}", place_, top ? ": " : ".", plain_name(key)));
}

JsonNode JsonNode::at(const char* key) const {
    const auto found = find(key);
    if (!found) fail(ExitCode::bad_file, "{}: has no key {}", place_, shown(key));
    return *found;
}

JsonNode JsonNode::element(std::size_t index) const { return {value_.at(index), fmt::format("{}[{}]", place_, index)}; }

std::size_t JsonNode::size() const {
    if (!value_.is_array()) refuse("a list");
    return value_.size();
}

std::string JsonNode::text() const {
    if (!value_.is_string()) refuse("a string");
    return value_.get<std::string>();
}

std::int64_t JsonNode::integer(std::int64_t largest) const {
    const bool integer = value_.is_number_integer();
    if (!integer || value_.get<std::int64_t>() < 0 || value_.get<std::int64_t>() > largest)
        refuse(fmt::format("an integer from 0 to {}", largest));
    return value_.get<std::int64_t>();
}

bool JsonNode::flag(const char* key, bool absent) const {
    const auto found = find(key);
    if (!found) return absent;
    if (!found->value().is_boolean()) found->refuse("true or false");
    return found->value().get<bool>();
}

nlohmann::json parse_tokenizer_json(const std::string& bytes, const std::string& name) {
    try {
        nlohmann::json root = nlohmann::json::parse(bytes);
        if (!root.is_object()) fail(ExitCode::bad_file, "{}: is JSON, but not an object", name);
        return root;
    } catch (const nlohmann::json::parse_error& error) {
        fail(ExitCode::bad_file, "{}: is damaged or cut off: not JSON at byte {} of {}: copy or download it again",
             name, error.byte, bytes.size());
    } catch (const nlohmann::json::out_of_range&) {
        fail(ExitCode::bad_file, "{}: is damaged: contains a number that is too large: copy or download it again",
             name);
    }
}

}  // namespace gpas
