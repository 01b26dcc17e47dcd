#include "io/hugging_face/token_ids.hpp"

#include "base/error.hpp"

#include <nlohmann/json.hpp>

#include <fstream>

namespace gpas {
namespace {

using nlohmann::json;

constexpr std::int64_t most_ids = std::int64_t(1) << 31;

// An empty object if there is no such file.
json object_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return json::object();
    const json root = json::parse(in, nullptr, false);
    if (!root.is_object()) fail(ExitCode::bad_file, "{}: is not a JSON object", file.string());
    return root;
}

std::int64_t id_of(const json& value, const char* key, std::int64_t vocab_size, const std::string& source) {
    if (!value.is_number_integer() || value < 0 || value >= vocab_size)
        fail(ExitCode::bad_file, "{}: {}: found {}, expected a token id below the model's vocab_size {}", source, key,
             value.dump(-1, ' ', true, json::error_handler_t::replace), vocab_size);
    return value.get<std::int64_t>();
}

std::vector<std::int64_t> ids_of(const json& root, const char* key, std::int64_t vocab_size,
                                 const std::string& source) {
    const auto found = root.find(key);
    if (found == root.end() || found->is_null()) return {};
    std::vector<std::int64_t> ids;
    if (found->is_array())
        for (const json& value : *found) ids.push_back(id_of(value, key, vocab_size, source));
    else if (*found != -1)  // -1: some models use it if they have no such token
        ids.push_back(id_of(*found, key, vocab_size, source));
    return ids;
}

void take(const json& root, std::int64_t vocab_size, const std::string& source, TokenIds& ids) {
    if (const auto found = ids_of(root, "bos_token_id", vocab_size, source); !found.empty()) ids.bos = found.front();
    if (const auto found = ids_of(root, "pad_token_id", vocab_size, source); !found.empty()) ids.pad = found.front();
    if (const auto found = ids_of(root, "eos_token_id", vocab_size, source); !found.empty()) ids.eos = found;
}

}  // namespace

TokenIds read_token_ids(const std::filesystem::path& directory, std::int64_t vocab_size) {
    TokenIds ids;
    for (const char* name : {"config.json", "generation_config.json"})
        take(object_of(directory / name), vocab_size, (directory / name).string(), ids);
    const json tokenizer = object_of(directory / "tokenizer_config.json");
    const auto add = tokenizer.find("add_bos_token");
    ids.add_bos = ids.bos >= 0 && add != tokenizer.end() && *add == true;
    return ids;
}

std::string token_ids_text(const TokenIds& ids) {
    json root{{"add_bos_token", ids.add_bos}, {"eos_token_id", ids.eos}};
    if (ids.bos >= 0) root["bos_token_id"] = ids.bos;
    if (ids.pad >= 0) root["pad_token_id"] = ids.pad;
    return root.dump();
}

TokenIds parse_token_ids(const std::string& text, const std::string& source) {
    const json root = json::parse(text, nullptr, false);
    if (!root.is_object()) fail(ExitCode::bad_file, "{}: its token ids are not a JSON object", source);
    TokenIds ids;
    take(root, most_ids, source, ids);
    ids.add_bos = root.contains("add_bos_token") && root["add_bos_token"] == true;
    return ids;
}

}  // namespace gpas
