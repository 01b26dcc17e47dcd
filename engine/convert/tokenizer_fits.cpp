#include "base/error.hpp"
#include "engine/convert/shared.hpp"
#include "io/data/tokenizer.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>

namespace gpas {
namespace {

using nlohmann::json;
using std::filesystem::path;

json parsed(const path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return json();
    return json::parse(in, nullptr, false);
}

class Added {
public:
    Added(const Tokenizer& tokenizer, const path& file) : tokenizer_(tokenizer), file_(file) {}

    void check(const json& id, const json& content) const {
        if (!id.is_number_integer() || !content.is_string()) return;
        const std::int64_t number = id;
        if (number >= 0 && number < tokenizer_.vocab_size() && tokenizer_.piece(number) == content.get<std::string>())
            return;
        fail(
            ExitCode::bad_file,
            "{}: token {} with id {} is not a piece of the tokenizer ({} pieces), so text would get other "
            "ids; "
            "import without a tokenizer (--tokenizer none), or name another tokenizer, such as tokenizer.json, with --tokenizer",
            file_.string(), content.dump(-1, ' ', true, json::error_handler_t::replace), number,
            tokenizer_.vocab_size());
    }

private:
    const Tokenizer& tokenizer_;
    const path& file_;
};

std::unique_ptr<Tokenizer> opened(const path& file) {
    try {
        return open_tokenizer(file.string());
    } catch (const Error& error) {
        fail(error.code(), "{} (--tokenizer none imports the weights without a tokenizer)", error.what());
    }
}

std::int64_t number_of(const std::string& text) {
    std::int64_t number = -1;
    std::istringstream(text) >> number;
    return number;
}

// {"<pad>": 32000}
void check_added_tokens(const Tokenizer& tokenizer, const path& file) {
    const json root = parsed(file);
    if (!root.is_object()) return;
    for (const auto& [content, id] : root.items()) Added(tokenizer, file).check(id, content);
}

// {"added_tokens_decoder": {"32000": {"content": "<pad>"}}}
void check_tokenizer_config(const Tokenizer& tokenizer, const path& file) {
    const json root = parsed(file);
    if (!root.is_object() || !root.contains("added_tokens_decoder")) return;
    for (const auto& [id, token] : root["added_tokens_decoder"].items())
        if (token.is_object() && token.contains("content"))
            Added(tokenizer, file).check(number_of(id), token["content"]);
}

// {"added_tokens": [{"id": 32000, "content": "<pad>"}]}
void check_tokenizer_json(const Tokenizer& tokenizer, const path& file) {
    const json root = parsed(file);
    if (!root.is_object() || !root.contains("added_tokens")) return;
    for (const json& token : root["added_tokens"])
        if (token.is_object() && token.contains("id") && token.contains("content"))
            Added(tokenizer, file).check(token["id"], token["content"]);
}

}  // namespace

TokenizerKind check_tokenizer_fits(const path& file, const path& directory, std::int64_t vocab_size) {
    const std::unique_ptr<Tokenizer> owner = opened(file);
    const Tokenizer& tokenizer = *owner;
    if (tokenizer.vocab_size() > vocab_size)
        fail(ExitCode::bad_file,
             "{} has {} pieces, but vocab_size in config.json is {}: it is not this model's tokenizer; name the right "
             "one with --tokenizer, or import without (--tokenizer none)",
             file.string(), tokenizer.vocab_size(), vocab_size);
    if (directory.empty()) return tokenizer.kind();
    check_added_tokens(tokenizer, directory / "added_tokens.json");
    check_tokenizer_config(tokenizer, directory / "tokenizer_config.json");
    check_tokenizer_json(tokenizer, directory / "tokenizer.json");
    return tokenizer.kind();
}

}  // namespace gpas
