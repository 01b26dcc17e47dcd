#include "io/data/prepare_manifest.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/data/output_file.hpp"

#include <sys/stat.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gpas {
namespace {

using Json = nlohmann::json;

constexpr int manifest_version = 2;

// Detects a different file with the same name, size and time. (A change in the middle of a file changes its time.)
std::uint64_t ends_checksum(const std::string& path, std::int64_t size) {
    constexpr std::int64_t block = 1 << 16;
    std::ifstream file(path, std::ios::binary);
    std::string bytes(std::size_t(2 * block), '\0');
    file.read(bytes.data(), block);
    const std::int64_t head = file.gcount();
    file.clear();
    file.seekg(std::max<std::int64_t>(0, size - block));
    file.read(bytes.data() + head, block);
    return hash_of({bytes.data(), std::size_t(head + file.gcount())});
}

Json input_json(const TextInput& input) {
    if (input.stream) return {input.name(), std::chrono::system_clock::now().time_since_epoch().count()};
    const std::string& path = input.path;
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) fail(ExitCode::bad_file, "{}: cannot be examined", path);
    const std::int64_t time_ns = std::int64_t(status.st_mtim.tv_sec) * 1000000000 + status.st_mtim.tv_nsec;
    return {path, std::int64_t(status.st_size), time_ns, ends_checksum(path, status.st_size)};
}

}  // namespace

std::string prepare_identity(const PrepareOptions& options, const TextInputs& inputs) {
    Json identity{{"documents", int(inputs.documents)},
                  {"json_key", options.json_key},
                  {"append_eos", options.append_eos},
                  {"skip_bad_lines", options.skip_bad_lines},
                  {"tokenizer", options.tokenizer}};
    if (!options.pattern.empty()) identity["pattern"] = options.pattern;
    if (options.tokenizer.empty() && options.train_tokenizer) {
        identity["train"] = {int(options.train_tokenizer->type), options.train_tokenizer->vocab_size,
                             options.tokenizer_sample_bytes, options.unit_bytes};
    }
    for (const TextInput& input : inputs.files) identity["inputs"].push_back(input_json(input));
    return identity.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void save_manifest(const std::string& path, const PrepareManifest& m) {
    const Json json{{"version", manifest_version},
                    {"identity", m.identity},
                    {"tokenizer", m.tokenizer},
                    {"tokenizer_kind", m.tokenizer_kind},
                    {"eos", m.eos},
                    {"next", {m.next.file, m.next.offset, m.next.line, m.next.inside_document}},
                    {"mark", {m.mark.tokens, m.mark.documents, m.mark.open_tokens, m.mark.checksum}},
                    {"documents", m.documents},
                    {"empty_documents", m.empty_documents},
                    {"text_bytes", m.text_bytes},
                    {"unknown_tokens", m.loss.unknown_tokens},
                    {"characters", m.loss.characters},
                    {"lost_characters", m.loss.lost_characters},
                    {"skipped_lines", m.skipped_lines},
                    {"replaced_characters", m.replaced_characters},
                    {"done", m.done},
                    {"dataset", m.dataset}};
    write_file_durably(path, json.dump(2) + "\n");
}

std::optional<PrepareManifest> load_manifest(const std::string& path, std::string& problem) {
    if (!std::filesystem::exists(path)) return std::nullopt;
    try {
        std::ifstream file(path, std::ios::binary);
        const Json json = Json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
        if (json.at("version") != manifest_version) {
            problem = path + ": was written by another version";
            return std::nullopt;
        }
        PrepareManifest m;
        m.identity = json.at("identity").get<std::string>();
        m.tokenizer = json.at("tokenizer").get<std::uint64_t>();
        m.tokenizer_kind =
            json.value("tokenizer_kind", "SentencePiece");  // a file without it is older than other kinds
        m.eos = json.value("eos", -1);
        const Json &next = json.at("next"), &mark = json.at("mark");
        m.next = {next.at(0), next.at(1), next.at(2), next.at(3)};
        m.mark = {mark.at(0), mark.at(1), mark.at(2), mark.at(3)};
        m.documents = json.at("documents");
        m.empty_documents = json.at("empty_documents");
        m.text_bytes = json.at("text_bytes");
        m.loss = {json.at("unknown_tokens"), json.at("characters"), json.at("lost_characters")};
        m.skipped_lines = json.at("skipped_lines").get<LineProblemCounts>();
        m.replaced_characters = json.at("replaced_characters");
        m.done = json.at("done");
        m.dataset = json.at("dataset").get<std::uint64_t>();
        return m;
    } catch (const Json::exception&) {
        problem = path + ": is damaged";
        return std::nullopt;
    }
}

}  // namespace gpas
