#include "io/tokenizer/tiktoken_file.hpp"

#include "base/error.hpp"
#include "io/tokenizer/json_node.hpp"

#include <array>

namespace gpas {
namespace {

constexpr std::int64_t most_tekken_tokens = 1 << 24;

// The special tokens of files that do not list them (until version v7).
constexpr std::array<const char*, 20> unlisted{"<unk>",
                                               "<s>",
                                               "</s>",
                                               "[INST]",
                                               "[/INST]",
                                               "[AVAILABLE_TOOLS]",
                                               "[/AVAILABLE_TOOLS]",
                                               "[TOOL_RESULTS]",
                                               "[/TOOL_RESULTS]",
                                               "[TOOL_CALLS]",
                                               "[IMG]",
                                               "<pad>",
                                               "[IMG_BREAK]",
                                               "[IMG_END]",
                                               "[PREFIX]",
                                               "[MIDDLE]",
                                               "[SUFFIX]",
                                               "[SYSTEM_PROMPT]",
                                               "[/SYSTEM_PROMPT]",
                                               "[TOOL_CONTENT]"};

void read_special(const JsonNode& file, std::int64_t count, TiktokenFile& result) {
    std::vector<std::string> names(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = fmt::format("<SPECIAL_{}>", i);
    if (const auto list = file.find("special_tokens")) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            const JsonNode token = list->element(i);
            names[std::size_t(token.at("rank").integer(count - 1))] = token.at("token_str").text();
        }
    } else {
        for (std::size_t i = 0; i < std::min(names.size(), unlisted.size()); ++i) names[i] = unlisted[i];
    }
    for (std::size_t i = 0; i < names.size(); ++i) result.special.emplace_back(names[i], std::int32_t(i));
}

}  // namespace

TiktokenFile read_tekken(const std::string& json, const std::string& name) {
    const nlohmann::json root = parse_tokenizer_json(json, name);
    const JsonNode file(root, name), config = file.at("config"), vocabulary = file.at("vocab");
    const std::int64_t size = config.at("default_vocab_size").integer(most_tekken_tokens);
    const std::int64_t special = config.at("default_num_special_tokens").integer(size);
    if (special == 0 || size - special > std::int64_t(vocabulary.size()))
        fail(ExitCode::bad_file, "{}: config: expects {} tokens of which {} are special, but vocab has {}", name, size,
             special, vocabulary.size());
    TiktokenFile result;
    result.pattern = config.at("pattern").text();
    read_special(file, special, result);
    for (std::size_t i = 0; i < std::size_t(size - special); ++i) {
        const JsonNode entry = vocabulary.element(i), text = entry.at("token_bytes");
        std::string bytes;
        if (!decode_base64(text.text(), bytes)) text.refuse("base64");
        const std::int64_t rank = entry.at("rank").integer(size - special - 1);
        result.tokens.emplace_back(std::move(bytes), std::int32_t(special + rank));
    }
    return result;
}

}  // namespace gpas
