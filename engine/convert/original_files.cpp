#include "engine/convert/original_files.hpp"

#include "engine/convert/shared.hpp"

#include <array>

namespace gpas {
namespace {

constexpr std::array original_files{
    "tokenizer.json",        "tokenizer.model",       "sentencepiece.model",     "tekken.json",
    "added_tokens.json",     "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "generation_config.json"};

}  // namespace

void copy_original_files(const std::filesystem::path& from, const std::filesystem::path& to) {
    for (const char* name : original_files)
        if (std::filesystem::is_regular_file(from / name)) copy_whole(from / name, to / name);
}

bool are_original_files(const std::filesystem::path& directory, TokenizerKind kind) {
    return std::filesystem::exists(directory / "tokenizer_config.json") &&
           (kind == TokenizerKind::sentencepiece || std::filesystem::exists(directory / "tokenizer.json"));
}

}  // namespace gpas
