#include "io/hugging_face/tokenizer.hpp"

#include "base/error.hpp"
#include "io/hugging_face/tokenizer_writer.hpp"

#include <fmt/format.h>

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

}  // namespace

ExportedTokenizer export_tokenizer(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length) {
    if (tokenizer.kind() != TokenizerKind::sentencepiece) {
        fail(ExitCode::usage,
             "the tokenizer is of the kind {}: only SentencePiece tokenizers can be exported; use --tokenizer none and "
             "add the tokenizer's files to the export",
             tokenizer_kind_name(tokenizer.kind()));
    }
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

}  // namespace gpas
