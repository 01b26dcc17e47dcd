#include "io/data/tokenizer.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/data/mapped_file.hpp"
#include "io/data/sentencepiece_tokenizer.hpp"
#include "io/data/tokenizer_kind.hpp"
#include "io/tokenizer/json_tokenizer.hpp"
#include "io/tokenizer/tiktoken_tokenizer.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace gpas {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t largest_file_bytes = 1 << 28;

bool is_tokenizer_name(const fs::path& file) {
    return file.filename() == "tokenizer.json" || file.filename() == "tekken.json" || file.extension() == ".model" ||
           file.extension() == ".tiktoken";
}

}  // namespace

const char* tokenizer_kind_name(TokenizerKind kind) {
    switch (kind) {
        case TokenizerKind::sentencepiece: return "SentencePiece";
        case TokenizerKind::hugging_face: return "Hugging Face tokenizer.json";
        case TokenizerKind::tekken: return "Mistral tekken.json";
        case TokenizerKind::tiktoken: return "tiktoken";
    }
    return "";
}

const char* tokenizer_file_name(TokenizerKind kind) {
    switch (kind) {
        case TokenizerKind::hugging_face: return "tokenizer.json";
        case TokenizerKind::tekken: return "tekken.json";
        case TokenizerKind::sentencepiece:
        case TokenizerKind::tiktoken: return "tokenizer.model";
    }
    return "";
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    encode(text, ids);
    return ids;
}

std::uint64_t Tokenizer::fingerprint() const { return hash_of(model_bytes()); }

std::string tokenizer_file(const std::string& path) {
    std::error_code error;
    if (!fs::is_directory(path, error)) return path;
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(path, error))
        if (is_tokenizer_name(entry.path()) && !entry.is_directory(error))
            names.push_back(entry.path().filename().string());
    if (names.empty())
        fail(ExitCode::bad_file,
             "{}: is a directory without a tokenizer (tokenizer.json, tekken.json, *.model or *.tiktoken): name the "
             "tokenizer's file",
             path);
    std::ranges::sort(names);
    if (names.size() > 1)
        fail(ExitCode::bad_file, "{}: is a directory with {} tokenizers ({}): name one of these files", path,
             names.size(), fmt::join(names, ", "));
    return (fs::path(path) / names.front()).string();
}

std::string read_tokenizer(const std::string& path) {
    const MappedFile file(path);
    if (file.size_bytes() == 0)
        fail(ExitCode::bad_file, "{}: is empty, expected a tokenizer: copy or download it again", path);
    if (file.size_bytes() > largest_file_bytes)
        fail(ExitCode::bad_file, "{}: found {} bytes, expected a tokenizer of at most 2^28 bytes", path,
             file.size_bytes());
    return {reinterpret_cast<const char*>(file.data()), std::size_t(file.size_bytes())};
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::string& path) {
    const fs::path file = tokenizer_file(path);
    std::string bytes = read_tokenizer(file);
    if (file.filename() == "tokenizer.json" && recognise_tokenizer(bytes, file) == TokenizerKind::hugging_face)
        return std::make_unique<JsonTokenizer>(std::move(bytes), file, read_named_tokens(file.parent_path()));
    return open_tokenizer(std::move(bytes), file);
}

std::unique_ptr<Tokenizer> open_tokenizer(std::string bytes, std::string name) {
    switch (recognise_tokenizer(bytes, name)) {
        case TokenizerKind::sentencepiece:
            return std::make_unique<SentencePieceTokenizer>(std::move(bytes), std::move(name));
        case TokenizerKind::hugging_face: return std::make_unique<JsonTokenizer>(std::move(bytes), std::move(name));
        case TokenizerKind::tekken:
        case TokenizerKind::tiktoken: return std::make_unique<TiktokenTokenizer>(std::move(bytes), std::move(name));
    }
    fail(ExitCode::internal, "a tokenizer of an unknown kind");
}

}  // namespace gpas
