// Exported tokenizers. tokenizer_goldens.json holds the ids that transformers gave for exports of the same models
// (scripts/check-transformers --tokenizers --goldens); training must give the same.
#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/data/sentencepiece_model.hpp"
#include "io/data/sentencepiece_tokenizer.hpp"
#include "io/hugging_face/tokenizer.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/tokenizer_kinds.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

namespace gpas {
namespace {

using nlohmann::json;
using test_support::TokenizerOfKind;

const std::vector<TokenizerOfKind>& kinds() {
    static const std::vector<TokenizerOfKind> all = test_support::tokenizers_of_all_kinds();
    return all;
}

SentencePieceTokenizer of_kind(const std::string& name) {
    for (const TokenizerOfKind& kind : kinds())
        if (kind.name == name) return SentencePieceTokenizer(kind.model, name);
    throw std::runtime_error(name);
}

ExportedTokenizer exported(const std::string& kind, const TokenIds& ids = {.eos = {2}}) {
    return export_tokenizer(of_kind(kind), ids, 64);
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
}

TEST(ExportedTokenizer, of_every_kind_has_the_ids_of_training_in_transformers) {
    std::ifstream in(GPAS_TOKENIZER_GOLDENS);
    const json goldens = json::parse(in);
    ASSERT_EQ(goldens.at("kinds").size(), kinds().size());
    for (const TokenizerOfKind& kind : kinds()) {
        SCOPED_TRACE(kind.name);
        const json& golden = goldens.at("kinds").at(kind.name);
        const SentencePieceTokenizer tokenizer(kind.model, kind.name);
        const std::set<std::size_t> differ = golden.at("differ").get<std::set<std::size_t>>();
        const ExportedTokenizer out = exported(kind.name);
        EXPECT_EQ(golden.at("json"), fmt::format("{:016x}", hash_of(out.json)))
            << "tokenizer.json is another one than transformers read: run scripts/check-transformers --tokenizers";
        if (!differ.empty()) {
            EXPECT_NE(joined(out.notes).find("transformers does not"), std::string::npos);
        }
        for (std::size_t i = 0; i < goldens.at("texts").size(); ++i)
            if (!differ.contains(i)) {
                EXPECT_EQ(json(tokenizer.encode(goldens["texts"][i].get<std::string>())), golden.at("ids")[i])
                    << goldens["texts"][i];
            }
    }
}

TEST(ExportedTokenizer, names_what_a_reader_cannot_do) {
    const auto notes = [](const char* kind) { return joined(exported(kind).notes); };
    EXPECT_EQ(notes("bpe"), "llama.cpp reads U+2581 as a space; all other text gets the token ids of training\n");
    EXPECT_EQ(notes("bpe_dummy"), "");
    EXPECT_EQ(notes("char_dummy"), "");
    EXPECT_NE(notes("unigram").find(
                  "llama.cpp cannot give the token ids of training: it would merge the pieces of a unigram"),
              std::string::npos);
    EXPECT_EQ(notes("unigram").find("transformers does not"), std::string::npos) << notes("unigram");
    EXPECT_NE(notes("unigram_dummy").find("fp64"), std::string::npos);
    EXPECT_NE(notes("bpe_normalized").find("nmt_nfkc"), std::string::npos);
    EXPECT_NE(notes("bpe_spaces").find("llama.cpp cannot give the token ids of training: it keeps repeated spaces"),
              std::string::npos);
    EXPECT_NE(notes("word").find("whole words"), std::string::npos);
    for (const char* kind : {"bpe", "bpe_dummy", "bpe_user", "char", "char_dummy"})
        EXPECT_EQ(exported(kind).model_file, "tokenizer.model") << kind;
    for (const char* kind : {"unigram", "bpe_normalized", "bpe_spaces", "word", "word_bytes"})
        EXPECT_EQ(exported(kind).model_file, "sentencepiece.model") << kind;
}

TEST(ExportedTokenizer, has_the_special_tokens_of_training) {
    const json plain = json::parse(exported("bpe").config);
    EXPECT_TRUE(plain.at("bos_token").is_null());  // <s> is in the model, but not in the training data
    EXPECT_EQ(plain.at("eos_token"), "</s>");
    EXPECT_TRUE(plain.at("pad_token").is_null());
    EXPECT_EQ(plain.at("add_bos_token"), false);
    EXPECT_EQ(plain.at("split_special_tokens"), true);
    EXPECT_EQ(plain.at("add_prefix_space"), false);
    EXPECT_TRUE(json::parse(exported("bpe").json).at("post_processor").is_null());
    EXPECT_EQ(json::parse(exported("bpe_dummy").config).at("add_prefix_space"), true);

    const ExportedTokenizer all = exported("bpe_user", {.bos = 1, .pad = 3, .eos = {2, 5}, .add_bos = true});
    const json config = json::parse(all.config);
    EXPECT_EQ(config.at("bos_token"), "<s>");
    EXPECT_EQ(config.at("pad_token"), "<pad>");
    EXPECT_EQ(config.at("eos_token"), "</s>");
    EXPECT_EQ(config.at("add_bos_token"), true);
    EXPECT_EQ(json::parse(all.json).at("post_processor").at("special_tokens").at("<s>").at("ids"), json({1}));
    EXPECT_TRUE(json::parse(exported("bpe", {}).config).at("eos_token").is_null());  // gpas prepare --no-eos
}

TEST(ExportedTokenizer, keeps_the_settings_of_the_model) {
    const json normalized = json::parse(exported("unigram_normalized").json).at("normalizer").at("normalizers");
    EXPECT_EQ(normalized.at(2).at("type"), "Precompiled");
    EXPECT_EQ(normalized.back().at("content"), "\u2581");
    const json model = json::parse(exported("unigram").json).at("model");
    EXPECT_EQ(model.at("type"), "Unigram");
    EXPECT_EQ(model.at("byte_fallback"), true);
    EXPECT_LE(model.at("vocab").at(2).at(1), -1000.0);  // text never becomes </s>
    EXPECT_TRUE(json::parse(exported("bpe").json).at("normalizer").is_null());
    EXPECT_THROW(
        export_tokenizer(SentencePieceTokenizer(
                             test_support::sentencepiece_model({{"treat_whitespace_as_suffix", "true"}}), "suffix"),
                         {}, 64),
        Error);
}

TEST(SentencePieceFile, is_read_as_the_library_reads_it) {
    const std::string bytes = test_support::sentencepiece_model(
        {{"model_type", "bpe"}, {"add_dummy_prefix", "true"}, {"user_defined_symbols", "<sep>"}});
    const SentencePieceModel model = parse_sentencepiece_model(bytes, "test");
    const SentencePieceTokenizer tokenizer(bytes, "test");
    ASSERT_EQ(std::int64_t(model.pieces.size()), tokenizer.vocab_size());
    for (std::size_t id = 0; id < model.pieces.size(); ++id)
        EXPECT_EQ(model.pieces[id].text, tokenizer.piece(std::int64_t(id)));
    EXPECT_EQ(model.model, PieceModel::bpe);
    EXPECT_TRUE(model.add_dummy_prefix);
    EXPECT_FALSE(model.remove_extra_whitespaces);
    EXPECT_EQ(model.rules, "identity");
    EXPECT_EQ(model.pieces[0].kind, PieceKind::unknown);
    EXPECT_EQ(model.pieces[1].kind, PieceKind::control);
    EXPECT_EQ(model.pieces[3].kind, PieceKind::user_defined);
    EXPECT_EQ(model.pieces[4].kind, PieceKind::byte);
    EXPECT_THROW(parse_sentencepiece_model(bytes.substr(0, bytes.size() - 3), "cut"), Error);
}

TEST(SentencePieceFile, of_a_trained_unigram_has_scores_that_add_exactly) {
    const SentencePieceModel model = parse_sentencepiece_model(of_kind("unigram").model_bytes(), "test");
    double smallest = 0.0;
    for (const SentencePiece& piece : model.pieces) {
        EXPECT_EQ(piece.score * 64.0F, std::nearbyint(piece.score * 64.0F)) << piece.text;
        smallest = std::min(smallest, double(piece.score));
    }
    EXPECT_LT(smallest, -1.0);
}

TEST(TokenIdsOfAModel, come_from_generation_config_first_and_survive_as_text) {
    const test_support::ScratchDirectory scratch;
    const auto write = [&](const char* name, const char* text) { std::ofstream(scratch / name) << text; };
    const std::filesystem::path directory = std::filesystem::path(scratch / "x").parent_path();
    EXPECT_EQ(read_token_ids(directory, 100), TokenIds{});
    write("config.json", R"({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": -1})");
    EXPECT_EQ(read_token_ids(directory, 100), (TokenIds{.bos = 1, .eos = {2}}));
    write("generation_config.json", R"({"eos_token_id": [7, 9], "pad_token_id": 0})");
    write("tokenizer_config.json", R"({"add_bos_token": true})");
    const TokenIds ids = read_token_ids(directory, 100);
    EXPECT_EQ(ids, (TokenIds{.bos = 1, .pad = 0, .eos = {7, 9}, .add_bos = true}));
    EXPECT_EQ(parse_token_ids(token_ids_text(ids), "test"), ids);
    EXPECT_EQ(parse_token_ids(token_ids_text({}), "test"), TokenIds{});
    EXPECT_THROW(read_token_ids(directory, 9), Error);
    EXPECT_THROW(parse_token_ids("{", "test"), Error);
}

}  // namespace
}  // namespace gpas
