#include "base/error.hpp"
#include "data_fixtures.hpp"
#include "io/data/sentencepiece_tokenizer.hpp"
#include "io/data/tokenizer_training.hpp"
#include "io/data/utf8.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

namespace gpas::test {
namespace {

std::string little_corpus() {
    std::string text;
    const std::vector<std::string> words{"the",  "cat",   "sat",     "on",      "mat",         "window",
                                         "rain", "never", "stopped", "walking", "through",     "garden",
                                         "of",   "and",   "her",     "sister",  "caf\xc3\xa9", "said"};
    std::mt19937 random(7);
    for (int line = 0; line < 400; ++line) {
        for (int word = 0; word < 12; ++word) text += words[random() % words.size()] + " ";
        text += "\n";
    }
    return text;
}

std::string model_of(TokenizerType type, const std::string& corpus = little_corpus(), std::int64_t vocab = 290) {
    bool given = false;
    return train_tokenizer({type, vocab}, [&](std::string& text) {
        text = corpus;
        return !std::exchange(given, true);
    });
}

const Tokenizer& tokenizer(TokenizerType type) {
    static const SentencePieceTokenizer bpe(model_of(TokenizerType::bpe), "bpe"),
        unigram(model_of(TokenizerType::unigram), "unigram");
    return type == TokenizerType::bpe ? bpe : unigram;
}

// Any code point but surrogates, with a liking for what is special to somebody.
std::string random_text(std::mt19937& random) {
    static const std::vector<std::string> special{" ",
                                                  "  ",
                                                  "\n",
                                                  "\t",
                                                  "\r",
                                                  std::string(1, '\0'),
                                                  "\xe2\x96\x81",
                                                  "\xe2\x96\x85",
                                                  "\xe2\x81\x87",
                                                  "<s>",
                                                  "</s>",
                                                  "<unk>",
                                                  "<0x41>",
                                                  "\xef\xbf\xbd",
                                                  "the",
                                                  " the",
                                                  "\xef\xbb\xbf",
                                                  "e\xcc\x81",
                                                  "\xc3\xa9",
                                                  "\xe3\x80\x80",
                                                  "\xe2"
                                                  "\x80\x8d"};
    std::string text;
    const unsigned length = random() % 24;
    for (unsigned i = 0; i < length; ++i) {
        if (random() % 2 == 0) {
            text += special[random() % special.size()];
            continue;
        }
        std::uint32_t c = random() % 4 == 0 ? random() % 0x110000 : random() % 0x250;
        if (c >= 0xd800 && c < 0xe000) c = 'x';
        if (c < 0x80) {
            text += char(c);
        } else if (c < 0x800) {
            text += {char(0xc0 | c >> 6), char(0x80 | (c & 63))};
        } else if (c < 0x10000) {
            text += {char(0xe0 | c >> 12), char(0x80 | (c >> 6 & 63)), char(0x80 | (c & 63))};
        } else {
            text +=
                {char(0xf0 | c >> 18), char(0x80 | (c >> 12 & 63)), char(0x80 | (c >> 6 & 63)), char(0x80 | (c & 63))};
        }
    }
    return text;
}

class TrainedTokenizer : public testing::TestWithParam<TokenizerType> {};
INSTANTIATE_TEST_SUITE_P(Types, TrainedTokenizer, testing::Values(TokenizerType::bpe, TokenizerType::unigram),
                         [](const auto& type) { return type.param == TokenizerType::bpe ? "bpe" : "unigram"; });

TEST_P(TrainedTokenizer, GivesBackAnyWellFormedText) {
    const Tokenizer& model = tokenizer(GetParam());
    EXPECT_TRUE(model.lossless());
    EXPECT_TRUE(model.cuts_at_newlines());
    std::mt19937 random(11);
    for (int i = 0; i < 3000; ++i) {
        const std::string text = random_text(random);
        ASSERT_EQ(valid_utf8_prefix(text), text.size());
        ASSERT_EQ(model.decode(model.encode(text)), text) << i;
    }
}

TEST_P(TrainedTokenizer, EncodesPartsCutAtNewlinesAsTheWhole) {
    const Tokenizer& model = tokenizer(GetParam());
    const std::string text = little_corpus().substr(0, 2000);
    for (std::size_t cut = text.find('\n'); cut != std::string::npos; cut = text.find('\n', cut + 1)) {
        std::vector<std::int32_t> parts = model.encode(text.substr(0, cut));
        model.encode(text.substr(cut), parts);
        EXPECT_EQ(parts, model.encode(text));
    }
}

TEST_P(TrainedTokenizer, CompressesTheTextItLearntFrom) {
    const std::string text = little_corpus();
    EXPECT_LT(tokenizer(GetParam()).encode(text).size() * 5, text.size() * 4);
}

TEST_P(TrainedTokenizer, IsTheSameBytesEachTime) {
    EXPECT_TRUE(model_of(GetParam()) == tokenizer(GetParam()).model_bytes());
    EXPECT_EQ(SentencePieceTokenizer(model_of(GetParam()), "again").fingerprint(), tokenizer(GetParam()).fingerprint());
}

TEST_P(TrainedTokenizer, HasTheUsualControlPieces) {
    const Tokenizer& model = tokenizer(GetParam());
    EXPECT_EQ(model.vocab_size(), 290);
    EXPECT_EQ(model.unk_id(), 0);
    EXPECT_EQ(model.bos_id(), 1);
    EXPECT_EQ(model.eos_id(), 2);
    EXPECT_EQ(model.pad_id(), -1);
    EXPECT_EQ(model.piece(2), "</s>");
    EXPECT_EQ(model.piece(3 + 10), "<0x0A>");
    EXPECT_EQ(model.decode(std::vector<std::int32_t>{1, 2}), "");
    EXPECT_EQ(model.encode("\n"), (std::vector<std::int32_t>{13}));
    error_of([&] { model.decode(std::vector<std::int32_t>{290}); }, ExitCode::usage);
    error_of([&] { model.decode(std::vector<std::int32_t>{-1}); }, ExitCode::usage);
}

TEST_P(TrainedTokenizer, LearnsFromTextWithTabsAndReservedCharactersAndEndlessLines) {
    std::string corpus = little_corpus();
    std::replace(corpus.begin(), corpus.end(), '\n', '\t');  // one line of 25 kB, full of tabs
    for (const char* mark : {"\xe2\x96\x81", "\xe2\x96\x85"}) corpus.insert(3, mark);
    const SentencePieceTokenizer model(model_of(GetParam(), corpus), "tabs");
    EXPECT_LT(model.encode(corpus).size() * 5, corpus.size() * 4);
    EXPECT_TRUE(model.decode(model.encode(corpus)) == corpus);
    std::string solid;
    while (solid.size() < 50000) solid += "\xc3\xa9t\xc3\xa9";  // no place to cut but between characters
    EXPECT_TRUE(model.decode(model.encode(solid)) == solid);
    EXPECT_NO_THROW(model_of(TokenizerType::bpe, solid + "\n" + corpus));
}

TEST(Tokenizer, RefusesAVocabularyThatTheTextCannotFill) {
    EXPECT_CONTAINS(error_of([] { model_of(TokenizerType::unigram, "a b c", 5000); }, ExitCode::usage), "5000 pieces");
    EXPECT_CONTAINS(error_of([] { model_of(TokenizerType::bpe, little_corpus(), 100); }, ExitCode::usage), "260");
    EXPECT_CONTAINS(error_of([] { model_of(TokenizerType::bpe, "\n\t\n"); }, ExitCode::usage), "no text");
}

TEST(Tokenizer, OpensASentencePieceModelWhateverItsName) {
    const DataFolder folder;
    const Tokenizer& trained = tokenizer(TokenizerType::bpe);
    for (const char* name : {"t.model", "tokenizer.json", "no_extension"}) {
        write_bytes(folder / name, trained.model_bytes());
        const std::unique_ptr<Tokenizer> opened = open_tokenizer(folder / name);
        EXPECT_EQ(opened->kind(), TokenizerKind::sentencepiece);
        EXPECT_EQ(opened->fingerprint(), trained.fingerprint());
        EXPECT_EQ(opened->encode("the cat\n"), trained.encode("the cat\n"));
    }
}

TEST(Tokenizer, TellsWhatAFileIsThatIsNoModel) {
    const DataFolder folder;
    const auto refusal = [&](const std::string& bytes, const std::string& kind) {
        write_bytes(folder / "t.model", bytes);
        const std::string message = error_of([&] { open_tokenizer(folder / "t.model"); });
        EXPECT_CONTAINS(message, "t.model: ");
        EXPECT_CONTAINS(message, kind);
        EXPECT_EQ(message.find("sentencepiece/"), std::string::npos) << "no text of the library: " << message;
        EXPECT_EQ(message.find(".cc"), std::string::npos) << "no text of the library: " << message;
    };
    refusal("", "is empty, expected a tokenizer: copy or download it again");
    refusal(" \n", "white space only");
    refusal("hello, this is a text file\n", "a text file");
    refusal(std::string(5000, '\0'), "not a SentencePiece model");
    refusal(std::string("\x89HDF\r\n\x1a\n\0\0", 10), "an HDF5 file");
    refusal("version https://git-lfs.github.com/spec/v1\noid sha256:9e55\nsize 499723\n",
            "a Git LFS pointer, not the tokenizer: download the file (git lfs pull)");
    refusal("#version: 0.2\nh e\n", "merges.txt");
    refusal("<unk>\t0\n<s>\t0\nthe\t-3.5\n", ".vocab");
    refusal("[PAD]\n[UNK]\n", "WordPiece");
    refusal("<!DOCTYPE html>\n<html>", "an HTML page: download the file again");
    refusal(std::string("PK\x03\x04\0\0\0\0", 8), "a ZIP archive");
    refusal("\x1f\x8b\x08\x01", "gzip data, not a tokenizer: unpack it first (gzip -dc FILE > NEW)");
    EXPECT_CONTAINS(error_of([&] { open_tokenizer(folder / "absent.model"); }), "absent.model: cannot be opened");
}

TEST(Tokenizer, TellsWhichJsonFileOfHuggingFaceAFileIs) {
    const auto refusal = [&](const std::string& bytes) { return error_of([&] { open_tokenizer(bytes, "t.json"); }); };
    const auto expect = [&](const std::string& bytes, const std::string& text) {
        EXPECT_CONTAINS(refusal(bytes), "t.json: is " + text);
    };
    EXPECT_CONTAINS(refusal(R"({"version":"1.0","model":{"type":"BPE"}})"), "t.json: model: has no key \"vocab\"");
    EXPECT_CONTAINS(refusal("\xef\xbb\xbf {\"added_tokens\": ["), "t.json: is damaged or cut off: not JSON at byte");
    EXPECT_CONTAINS(refusal(R"({"config": {"pattern": "a"}, "vocab": [{"rank": 0, "token_bytes": "AA=="}]})"),
                    "t.json: config: has no key \"default_vocab_size\"");
    expect("IQ== 0\nIg== 1\n", "a tiktoken vocabulary that gpas does not know");
    expect("{\n  \"tokenizer_class\": \"LlamaTokenizer\"\n}\n", "a tokenizer_config.json, which has no vocabulary");
    expect(R"({"architectures": ["LlamaForCausalLM"]})", "a config.json, which has no vocabulary");
    std::string vocab = "{\"a\": 0";
    for (int id = 1; id < 20; ++id) vocab += fmt::format(", \"{}\": {}", id, id);
    expect(vocab + "}", "a vocab.json, which has no merges");
    expect(R"({"model": "gpt", "text": {"model": {}}})", "a JSON file, but not a tokenizer.json");
    expect("[\n{\"a\": 1}]", "a JSON file, but not a tokenizer.json");
    expect("{\"text\": \"one\"}\n{\"text\": \"two\"}\n", "a JSON file, but not a tokenizer.json");
    expect(R"({"version": "1.0", "trunc)", "JSON that is damaged or cut off at byte 2");
}

TEST(Tokenizer, OpensTheOnlyTokenizerOfADirectory) {
    const DataFolder folder;
    const std::string directory = std::filesystem::path(folder / "x").parent_path().string();
    const Tokenizer& trained = tokenizer(TokenizerType::bpe);
    EXPECT_CONTAINS(error_of([&] { open_tokenizer(directory); }), "is a directory without a tokenizer (tokenizer.json");
    write_bytes(folder / "tokenizer_config.json", "{}");
    std::filesystem::create_directory(folder / "b.model");  // not a file
    write_bytes(folder / "a.model", trained.model_bytes());
    EXPECT_EQ(tokenizer_file(directory), folder / "a.model");
    EXPECT_EQ(open_tokenizer(directory)->fingerprint(), trained.fingerprint());
    write_bytes(folder / "tokenizer.json", "{}");
    EXPECT_CONTAINS(error_of([&] { open_tokenizer(directory); }),
                    "is a directory with 2 tokenizers (a.model, tokenizer.json): name one of these files");
}

TEST(Tokenizer, SurvivesTruncatedAndFlippedModels) {
    const std::string& model = tokenizer(TokenizerType::bpe).model_bytes();
    std::mt19937 random(3);
    int refused = 0;
    for (int i = 0; i < 300; ++i) {
        std::string damaged = model;
        if (i % 3 == 0) {
            damaged.resize(random() % model.size());
        } else {
            damaged[random() % damaged.size()] ^= char(1 << random() % 8);
        }
        try {
            const SentencePieceTokenizer loaded(damaged, "damaged");
            loaded.decode(loaded.encode("the cat sat\n on \xc3\xa9"));
        } catch (const Error& error) {
            ++refused;
        }
    }
    EXPECT_GT(refused, 100);  // a flip inside the text of a piece is just another model
}

TEST(Utf8, FindsEveryIllFormedSequence) {
    for (const std::string text :
         {"abc", "", "\xc2\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80",
          "12345678\xe2\x82\xac"
          "12345678"}) {
        EXPECT_EQ(valid_utf8_prefix(text), text.size());
    }
    for (const std::string text :
         {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x82", "\xf0\x9f\x99"}) {
        EXPECT_EQ(valid_utf8_prefix("12345678" + text), 8u);
    }
}

TEST(Utf8, RepairReplacesMaximalPartsAndCountsThem) {
    std::int64_t replaced = 0;
    EXPECT_EQ(repair_utf8("a\xe2\x82"
                          "b",
                          replaced),
              "a\xef\xbf\xbd"
              "b");
    EXPECT_EQ(replaced, 1);
    EXPECT_EQ(repair_utf8("\xff\xfe", replaced), "\xef\xbf\xbd\xef\xbf\xbd");
    EXPECT_EQ(replaced, 3);
    // Unicode 15, table 3-8: the example of the standard.
    EXPECT_EQ(repair_utf8("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", replaced),
              "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41");
    EXPECT_EQ(replaced, 7);
    EXPECT_EQ(tokenizer(TokenizerType::bpe)
                  .decode(tokenizer(TokenizerType::bpe)
                              .encode("a\xff"
                                      "b")),
              "a\xef\xbf\xbd"
              "b");
}

}  // namespace
}  // namespace gpas::test
