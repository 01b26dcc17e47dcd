#include "io/hugging_face/tokenizer.hpp"

#include "base/error.hpp"
#include "io/hugging_face/tokenizer_writer.hpp"
#include "io/tokenizer/tiktoken_json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace gpas {
namespace {

bool has_ties(const SentencePieceModel& model) {
    return std::ranges::any_of(model.pieces, [](const SentencePiece& piece) {
        return piece.kind == PieceKind::normal && piece.score * 64.0F != std::nearbyint(piece.score * 64.0F);
    });
}

std::vector<std::string> transformers_limits(const WrittenTokenizer& written) {
    const SentencePieceModel& model = written.model;
    std::vector<std::string> limits;
    if (!model.charsmap.empty())
        limits.push_back(
            fmt::format("a letter with several combining marks, or a mark after a character that the normalisation "
                        "rules ({}) remove or split, can get other ids",
                        model.rules));
    if (model.model == PieceModel::unigram && has_ties(model))
        limits.push_back(
            "it adds log probabilities in fp64, SentencePiece in fp32: text that splits in two equally likely ways "
            "(\"----\") can get other ids");
    if (model.model == PieceModel::word && written.has_bytes && written.has_single_characters)
        limits.push_back("in an unknown word, it also matches pieces of one character");
    if (has_piece(model, PieceKind::unused)) limits.push_back("it may give pieces that the model declares unused");
    if (has_piece(model, PieceKind::user_defined) && model.add_dummy_prefix)
        limits.push_back("it adds a space after each user-defined piece");
    return limits;
}

// The reasons why llama.cpp cannot give the ids of training. llama.cpp reads the pieces and merges them by score.
std::vector<std::string> llama_cpp_limits(const WrittenTokenizer& written) {
    const SentencePieceModel& model = written.model;
    std::vector<std::string> limits;
    if (model.model == PieceModel::unigram)
        limits.push_back("it would merge the pieces of a unigram model as BPE does");
    if (model.model == PieceModel::word) limits.push_back("it has no model of whole words");
    if (!model.charsmap.empty()) limits.push_back(fmt::format("it does not normalise text ({})", model.rules));
    if (model.remove_extra_whitespaces) limits.push_back("it keeps repeated spaces");
    if (!written.has_bytes) limits.push_back("it needs byte pieces for unknown characters");
    if (has_piece(model, PieceKind::unused)) limits.push_back("it would give unused pieces");
    return limits;
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
    return text;
}

// Whether the tokenizers library adds special tokens to every text that it encodes.
bool adds_special_tokens(const Tokenizer& tokenizer) {
    const auto file = nlohmann::json::parse(tokenizer.model_bytes(), nullptr, false);
    return file.is_object() && file.contains("post_processor") &&
           file["post_processor"].dump().find("SpecialToken") != std::string::npos;
}

// The tokenizer_config.json with which AutoTokenizer reads a tokenizer.json.
nlohmann::ordered_json config_of(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length) {
    const auto piece = [&](std::int64_t id) {
        return id >= 0 && id < tokenizer.vocab_size() ? nlohmann::ordered_json(tokenizer.piece(id))
                                                      : nlohmann::ordered_json();
    };
    nlohmann::ordered_json config;
    config["tokenizer_class"] = "PreTrainedTokenizerFast";
    config["bos_token"] = piece(ids.bos >= 0 ? ids.bos : tokenizer.bos_id());
    config["eos_token"] = piece(ids.eos.empty() ? tokenizer.eos_id() : ids.eos.front());
    config["unk_token"] = piece(tokenizer.unk_id());
    config["pad_token"] = piece(ids.pad >= 0 ? ids.pad : tokenizer.pad_id());
    config["clean_up_tokenization_spaces"] = false;
    config["model_max_length"] = max_length;
    return config;
}

ExportedTokenizer copied_json(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length) {
    return {.config = config_of(tokenizer, ids, max_length).dump(2) + "\n",
            .model_file = "tokenizer.json",
            .notes = notes_of_copy(tokenizer, ids)};
}

ExportedTokenizer converted_tiktoken(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length) {
    nlohmann::ordered_json config = config_of(tokenizer, ids, max_length);
    config["split_special_tokens"] = true;
    const std::int64_t bos = ids.add_bos ? ids.bos : -1;
    return {.json = tiktoken_as_json(tokenizer, std::int32_t(bos)), .config = config.dump(2) + "\n"};
}

ExportedTokenizer converted_model(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length) {
    const WrittenTokenizer written = write_tokenizer(tokenizer, ids, max_length);
    ExportedTokenizer out{.json = written.json, .config = written.config};
    const std::vector<std::string> transformers = transformers_limits(written), llama = llama_cpp_limits(written);
    if (!transformers.empty())
        out.notes.push_back("transformers does not give the token ids of training for every text: " +
                            joined(transformers));
    out.model_file = llama.empty() ? "tokenizer.model" : "sentencepiece.model";
    if (!llama.empty())
        out.notes.push_back(fmt::format(
            "llama.cpp cannot give the token ids of training: {}. The SentencePiece file is therefore named "
            "sentencepiece.model, which llama.cpp's converter does not read",
            joined(llama)));
    else if (written.is_exact)
        out.notes.push_back("llama.cpp reads U+2581 as a space; all other text gets the token ids of training");
    return out;
}

}  // namespace

ExportedTokenizer export_tokenizer(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length) {
    switch (tokenizer.kind()) {
        case TokenizerKind::sentencepiece: return converted_model(tokenizer, ids, max_length);
        case TokenizerKind::hugging_face: return copied_json(tokenizer, ids, max_length);
        case TokenizerKind::tekken:
        case TokenizerKind::tiktoken: return converted_tiktoken(tokenizer, ids, max_length);
    }
    fail(ExitCode::internal, "a tokenizer of an unknown kind");
}

std::vector<std::string> notes_of_copy(const Tokenizer& tokenizer, const TokenIds& ids) {
    if (!adds_special_tokens(tokenizer) || ids.add_bos) return {};
    return {
        "the post-processor of tokenizer.json adds special tokens, which the documents of training do not begin "
        "with: add_special_tokens=False gives the token ids of training"};
}

}  // namespace gpas
