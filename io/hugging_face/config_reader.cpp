#include "io/hugging_face/config_reader.hpp"

#include "base/error.hpp"

#include <fstream>
#include <iterator>

namespace gpas {
namespace {

using nlohmann::json;

constexpr std::int64_t most_config_bytes = 16 << 20;
constexpr int most_config_depth = 16;

std::string text_of_config(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::error_code error;
    const std::uintmax_t bytes = std::filesystem::file_size(file, error);
    if (!in || error) fail(ExitCode::bad_file, "{}: cannot be opened", file.string());
    if (bytes > most_config_bytes)
        fail(ExitCode::bad_file, "{}: found {} bytes, expected a model configuration of at most {}", file.string(),
             bytes, most_config_bytes);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

ConfigReader::ConfigReader(const std::filesystem::path& file) : file_(file) {
    const auto bounded = [&](int depth, json::parse_event_t, json&) {
        if (depth > most_config_depth)
            fail(ExitCode::bad_file, "{}: JSON is nested deeper than {} levels", file.string(), most_config_depth);
        return true;
    };
    const std::string text = text_of_config(file);
    try {
        root_ = json::parse(text, bounded);
    } catch (const json::exception&) {
        fail(ExitCode::bad_file, "{}: is not JSON", file.string());
    }
    if (!root_.is_object()) fail(ExitCode::bad_file, "{}: is not a JSON object", file.string());
}

void ConfigReader::refuse(const std::string& key, const json& found, const std::string& expected) const {
    std::string shown = found.dump(-1, ' ', true, json::error_handler_t::replace);
    if (shown.size() > 100) shown = shown.substr(0, 100) + "…";
    fail(ExitCode::bad_file, "{}: {}: found {}, expected {}", file_.string(), key, shown, expected);
}

const json* ConfigReader::find(const json& object, const char* key) const {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::int64_t ConfigReader::integer(const json& object, const char* key, std::int64_t absent) const {
    const json* value = find(object, key);
    if (value == nullptr) return absent;
    if (!value->is_number_integer() || *value < 0 || *value > std::int64_t(1) << 40)
        refuse(key, *value, "an integer >= 0");
    return value->get<std::int64_t>();
}

double ConfigReader::real(const json& object, const char* key, double absent) const {
    const json* value = find(object, key);
    if (value == nullptr) return absent;
    if (!value->is_number()) refuse(key, *value, "a number");
    return value->get<double>();
}

bool ConfigReader::flag(const json& object, const char* key, bool absent) const {
    const json* value = find(object, key);
    if (value == nullptr) return absent;
    if (!value->is_boolean()) refuse(key, *value, "true or false");
    return value->get<bool>();
}

std::string ConfigReader::text(const json& object, const char* key, const std::string& absent) const {
    const json* value = find(object, key);
    if (value == nullptr) return absent;
    if (!value->is_string()) refuse(key, *value, "text");
    return value->get<std::string>();
}

std::int64_t ConfigReader::needed(const char* key) const {
    const std::int64_t value = integer(root_, key, -1);
    if (value < 0) fail(ExitCode::bad_file, "{}: {} is missing", file_.string(), key);
    return value;
}

void ConfigReader::must_be(const char* key, const json& only, const char* why) const {
    const json* value = find(root_, key);
    if (value != nullptr && *value != only) refuse(key, *value, only.dump() + why);
}

}  // namespace gpas
