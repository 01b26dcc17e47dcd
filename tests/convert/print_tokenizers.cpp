// print_tokenizers DIRECTORY TEXTS.json: for scripts/check-transformers. Writes DIRECTORY/KIND/ for one tokenizer of
// every kind, as an export has them, and ids.json: the ids that training gives to each of the texts.
#include "base/hash.hpp"
#include "io/data/sentencepiece_tokenizer.hpp"
#include "io/hugging_face/tokenizer.hpp"
#include "tests/support/tokenizer_kinds.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

int main(int, char** arguments) {
    const std::filesystem::path directory(arguments[1]);
    std::ifstream in(arguments[2]);
    const nlohmann::json texts = nlohmann::json::parse(in);
    for (const auto& [name, model] : gpas::test_support::tokenizers_of_all_kinds()) {
        const gpas::SentencePieceTokenizer tokenizer(model, name);
        const gpas::ExportedTokenizer out = gpas::export_tokenizer(tokenizer, {.eos = {tokenizer.eos_id()}}, 64);
        const auto write = [&](const std::string& file, const std::string& text) {
            std::filesystem::create_directories(directory / name);
            std::ofstream(directory / name / file, std::ios::binary) << text;
        };
        write(out.model_file, model);
        write("tokenizer.json", out.json);
        write("tokenizer_config.json", out.config);
        write("fingerprint.json", fmt::format("\"{:016x}\"", gpas::hash_of(out.json)));
        write("notes.json", nlohmann::json(out.notes).dump());
        nlohmann::json ids = nlohmann::json::array();
        for (const nlohmann::json& text : texts) ids.push_back(tokenizer.encode(text.get<std::string>()));
        write("ids.json", ids.dump());
    }
}
