#include "io/tokenizer/named_tokens.hpp"

#include "base/error.hpp"
#include "io/tokenizer/json_node.hpp"

#include <fstream>
#include <iterator>
#include <optional>

namespace gpas {
namespace {

constexpr std::int64_t largest_id = (1 << 24) - 1;

struct Role {
    const char *text, *id;
    NamedToken NamedTokens::* token;
};
constexpr Role roles[] = {{"bos_token", "bos_token_id", &NamedTokens::bos},
                          {"eos_token", "eos_token_id", &NamedTokens::eos},
                          {"pad_token", "pad_token_id", &NamedTokens::pad}};

bool is_named(const NamedToken& token) { return !token.text.empty() || token.id >= 0; }

// "<s>", or {"content": "<s>", ...}
void take_text(const JsonNode& node, NamedToken& token) {
    token.text = node.value().is_object() ? node.at("content").text() : node.text();
    token.place = node.place();
}

// 2, or [2, 9]; -1: some models use it if they have no such token.
void take_id(const JsonNode& node, NamedToken& token) {
    const bool list = node.value().is_array();
    if (list ? node.size() == 0 : node.value() == -1) return;
    token.id = std::int32_t((list ? node.element(0) : node).integer(largest_id));
    token.place = node.place();
}

std::optional<nlohmann::json> object_in(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return parse_tokenizer_json({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()}, file.string());
}

}  // namespace

NamedTokens read_named_tokens(const std::filesystem::path& directory) {
    NamedTokens tokens;
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "generation_config.json"}) {
        const auto root = object_in(directory / name);
        if (!root) continue;
        const JsonNode file(*root, (directory / name).string());
        for (const Role& role : roles) {
            NamedToken& token = tokens.*role.token;
            if (const auto node = file.find(role.text); node && !is_named(token)) take_text(*node, token);
            if (const auto node = file.find(role.id); node && !is_named(token)) take_id(*node, token);
        }
    }
    return tokens;
}

}  // namespace gpas
