// goldens.json has small tokenizers that tokenizers and tiktoken made, with the ids that they give for the texts.
#include "base/error.hpp"
#include "io/tokenizer/added_tokens.hpp"
#include "io/tokenizer/json_tokenizer.hpp"
#include "io/tokenizer/ruby_pattern.hpp"
#include "io/tokenizer/tiktoken_json.hpp"
#include "io/tokenizer/tiktoken_tokenizer.hpp"
#include "io/tokenizer/word_cache.hpp"
#include "tests/support/scratch_directory.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <functional>

namespace gpas::test {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

const json& goldens() {
    static const json root = [] {
        std::ifstream file(GPAS_BPE_GOLDENS);
        return json::parse(file);
    }();
    return root;
}

// `skipped`: leave texts out that contain this.
void expect_ids(const Tokenizer& tokenizer, const json& ids, const std::string& skipped = "") {
    const json& texts = goldens()["texts"];
    for (int round = 0; round < 2; ++round) {  // the second round finds the words in the cache
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const std::string text = texts[i];
            if (!skipped.empty() && text.find(skipped) != std::string::npos) continue;
            EXPECT_EQ(tokenizer.encode(text), ids[i].get<Ids>()) << text;
        }
    }
}

std::string refusal(const std::function<void()>& open) {
    try {
        open();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::bad_file);
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
        return error.what();
    }
    return "nothing refused";
}

// The message about a tokenizer.json of the goldens after a change.
std::string changed(const std::string& kind, const std::function<void(json&)>& change) {
    json file = goldens()["tokenizers"][kind]["file"];
    change(file);
    return refusal([&] { JsonTokenizer(file.dump(), "t"); });
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(JsonTokenizer, GivesTheIdsAndTextsOfTokenizers) {
    for (const auto& [kind, golden] : goldens()["tokenizers"].items()) {
        SCOPED_TRACE(kind);
        const JsonTokenizer tokenizer(golden["file"].dump(), kind);
        expect_ids(tokenizer, golden["ids"]);
        for (std::size_t i = 0; i < golden["ids"].size(); ++i)
            EXPECT_EQ(tokenizer.decode(golden["ids"][i].get<Ids>()), golden["decoded"][i].get<std::string>()) << i;
        EXPECT_EQ(tokenizer.bos_id(), golden["bos"].get<int>());
        EXPECT_EQ(tokenizer.eos_id(), golden["eos"].get<int>());
    }
}

TEST(JsonTokenizer, ByteLevelKeepsEveryText) {
    json file = goldens()["tokenizers"]["gpt2"]["file"];
    file["added_tokens"] = json::array();
    const JsonTokenizer tokenizer(file.dump(), "gpt2");
    EXPECT_TRUE(tokenizer.lossless());
    json& vocabulary = file["model"]["vocab"];
    vocabulary["unused"] = vocabulary["J"];
    vocabulary.erase("J");
    EXPECT_FALSE(JsonTokenizer(file.dump(), "gpt2").lossless());
    for (const json& text : goldens()["texts"]) {
        std::string pieces;
        const Ids ids = tokenizer.encode(text.get<std::string>());
        for (const std::int32_t id : ids) pieces += tokenizer.piece_text(id);
        EXPECT_EQ(tokenizer.decode(ids), text.get<std::string>());
        EXPECT_EQ(pieces, text.get<std::string>());
    }
    EXPECT_EQ(tokenizer.encode("a\xff\xe2\x82z"), tokenizer.encode("a\xef\xbf\xbd\xef\xbf\xbdz"));
}

TEST(JsonTokenizer, RefusesBadFilesInOneLine) {
    const std::string whole = goldens()["tokenizers"]["llama3"]["file"].dump();
    EXPECT_HAS(refusal([&] { JsonTokenizer(whole.substr(0, whole.size() / 2), "t"); }), "t: is damaged or cut off");
    EXPECT_HAS(refusal([&] { JsonTokenizer(R"({"version": 1e777})", "t"); }), "t: is damaged: contains a number");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["model"]["merges"][0] = {"a", "nowhere"}; }),
               "t: model.merges[0]: found [\"a\",\"nowhere\"], expected tokens of the vocabulary; \"nowhere\" is not");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["model"]["type"] = "Unigram"; }), "t: model: Unigram is not supported");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["normalizer"] = {{"type", "Nmt"}}; }), "t: normalizer: Nmt is not supp");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["decoder"] = {{"type", "CTC"}}; }), "t: decoder: CTC is not supported");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["pre_tokenizer"] = {{"type", "UnicodeScripts"}}; }),
               "t: pre_tokenizer: UnicodeScripts is not supported");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["post_processor"] = {{"type", "BertProcessing"}}; }),
               "t: post_processor: BertProcessing is not supported");
    EXPECT_HAS(changed("llama3", [](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a"; }),
               "regular expression \"(a\": end pattern with unmatched parenthesis");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }), "end_of_word_suffix");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["model"]["dropout"] = 0.1; }), "dropout");
    EXPECT_HAS(changed("llama3", [](json& f) { f["added_tokens"].back()["id"] = 5000; }), "expected 29");
    EXPECT_HAS(
        changed("llama3",
                [](json& f) { f["added_tokens"].back()["id"] = 5, f["added_tokens"].back()["content"] = "a\nb"; }),
        "tokenizers gives \"a\\nb\"");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["model"]["vocab"]["\n"] = 5; }), " and \"");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["model"]["vocab"]["\n"] = -1; }), "id of \"\\n\": found -1");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["model"]["type"] = "\n"; }), "model: \"\\n\" is not supported");
    EXPECT_HAS(changed("gpt2", [](json& f) { f["decoder"]["type"] = "\n"; }), "decoder: \"\\n\" is not supported");
    EXPECT_HAS(
        changed("llama3", [](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\p{a\nb}"; }),
        "invalid character property name {a b}");
}

TEST(JsonTokenizer, TakesItsSpecialTokensFromTheFilesNextToIt) {
    const test_support::ScratchDirectory directory;
    const std::string file = directory / "tokenizer.json";
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream(directory / name, std::ios::binary) << text;
    };
    write("tokenizer.json", goldens()["tokenizers"]["llama3"]["file"].dump());
    const auto ids = [&] {
        const auto tokenizer = open_tokenizer(file);
        return Ids{tokenizer->bos_id(), tokenizer->eos_id(), tokenizer->pad_id()};
    };
    const Ids alone = ids();
    write("generation_config.json", R"({"eos_token_id": [291, 290], "bos_token_id": 290, "pad_token_id": -1})");
    EXPECT_EQ(ids(), (Ids{290, 291, alone[2]}));
    write("special_tokens_map.json", R"({"eos_token": "cat", "pad_token": {"content": "<sp>"}})");
    EXPECT_EQ(ids(), (Ids{290, 291, 290}));
    write("tokenizer_config.json", R"({"eos_token": {"content": "<|x|>"}, "bos_token": null, "pad_token": "nowhere"})");
    EXPECT_EQ(ids(), (Ids{290, 293, alone[2]}));
    write("tokenizer_config.json", R"({"eos_token": "nowhere"})");
    EXPECT_HAS(refusal([&] { open_tokenizer(file); }),
               "tokenizer_config.json: eos_token: found \"nowhere\", expected a");
    write("tokenizer_config.json", R"({"eos_token": 5})");
    EXPECT_HAS(refusal([&] { open_tokenizer(file); }), "tokenizer_config.json: eos_token: found 5, expected a string");
    write("tokenizer_config.json", "{");
    EXPECT_HAS(refusal([&] { open_tokenizer(file); }), "tokenizer_config.json: is damaged or cut off");
    write("tokenizer_config.json", R"({"eos_token": null})");
    write("special_tokens_map.json", "{}");
    write("generation_config.json", R"({"eos_token_id": 294})");
    EXPECT_HAS(refusal([&] { open_tokenizer(file); }), "the special token 294 is outside the vocabulary of 294");
    write("generation_config.json", R"({"eos_token_id": 1.5})");
    EXPECT_HAS(refusal([&] { open_tokenizer(file); }),
               "generation_config.json: eos_token_id: found 1.5, expected an int");
    std::filesystem::rename(file, directory / "other.json");  // the files do not belong to another name
    EXPECT_EQ(open_tokenizer(directory / "other.json")->eos_id(), alone[1]);
}

TEST(TiktokenTokenizer, GivesTheIdsOfTiktoken) {
    const json& golden = goldens()["tiktoken"];
    const TiktokenTokenizer tokenizer(golden["file"].get<std::string>(), "t", golden["pattern"].get<std::string>());
    expect_ids(tokenizer, golden["ids"]);
    EXPECT_TRUE(tokenizer.lossless());
    EXPECT_EQ(tokenizer.vocab_size(), 268);
    EXPECT_EQ(tokenizer.eos_id(), -1);
    const TiktokenTokenizer tekken(goldens()["tekken"]["file"].dump(), "t");
    expect_ids(tekken, goldens()["tekken"]["ids"]);
    EXPECT_EQ(tekken.kind(), TokenizerKind::tekken);
    EXPECT_EQ(tekken.vocab_size(), 278);
    EXPECT_EQ(tekken.bos_id(), 1);
    EXPECT_EQ(tekken.eos_id(), 2);
    EXPECT_EQ(tekken.piece(270), "\xc4\xa0the");  // spelled in the byte-level alphabet
}

// Bytes, "aa" and "aaa" with ids from 256.
std::string repeating_file() {
    std::string file = goldens()["tiktoken"]["file"];
    std::size_t end = 0;
    for (int byte = 0; byte < 256; ++byte) end = file.find('\n', end) + 1;
    return file.substr(0, end) + "YWE= 256\nYWFh 257\n";
}

TEST(TiktokenTokenizer, MergesTheLeftmostOfEqualPairsInShortAndLongWords) {
    const TiktokenTokenizer tokenizer(repeating_file(), "t", "gpt2");
    const JsonTokenizer converted(tiktoken_as_json(repeating_file(), "t", "gpt2"), "t");
    for (const std::size_t length : {5, 63, 64, 65, 66, 101, 1001}) {
        Ids expected(length / 2, 256);  // "aa" merges first, so no "aaa" can form except at the end
        if (length % 2 == 1) expected.back() = 257;
        EXPECT_EQ(tokenizer.encode(std::string(length, 'a')), expected) << length;
        EXPECT_EQ(converted.encode(std::string(length, 'a')), expected) << length;
    }
}

TEST(JsonTokenizer, IgnoresMergesOnlyIfTheFileSaysSo) {
    json file = goldens()["tokenizers"]["gpt2"]["file"];
    file["added_tokens"] = json::array();
    const auto id = std::int32_t(file["model"]["vocab"].size());
    file["model"]["vocab"]["qzx"] = id;  // no merge leads to it
    EXPECT_EQ(JsonTokenizer(file.dump(), "t").encode("qzx").size(), 3U);
    file["model"]["ignore_merges"] = true;
    EXPECT_EQ(JsonTokenizer(file.dump(), "t").encode("qzx"), Ids{id});
}

TEST(JsonTokenizer, DecodesEachByteOfAPartOfACharacterAsOneReplacement) {
    const json& file = goldens()["tokenizers"]["llama2"]["file"];
    const JsonTokenizer tokenizer(file.dump(), "llama2");
    const auto id = [&](const char* token) { return file["model"]["vocab"][token].get<std::int32_t>(); };
    EXPECT_EQ(tokenizer.decode(Ids{id("<0xE4>"), id("<0xB8>"), id("a")}),
              "\xef\xbf\xbd\xef\xbf\xbd"
              "a");  // as tokenizers
    EXPECT_EQ(tokenizer.decode(Ids{id("<0xE4>"), id("<0xB8>"), id("<0xAD>")}), "\xe4\xb8\xad");
}

TEST(AddedTokens, TakeTheLongestTokenAtTheLeftmostPlace) {
    const AddedTokens tokens({{.text = "ab", .id = 1}, {.text = "abc", .id = 2}, {.text = "bcde", .id = 3}});
    Ids found;
    tokens.for_each_section("xabcdeab", [&](TextSpan, std::int32_t id) { found.push_back(id); });
    EXPECT_EQ(found, (Ids{-1, 2, -1, 1}));
}

TEST(WordCache, HoldsOnlyTheWordThatWasStoredLast) {
    WordCache cache;
    const auto word = [](int i) { return fmt::format("w{:06}", i); };
    WordCache::Slot& slot = cache.slot(word(0));
    EXPECT_FALSE(WordCache::holds(slot, word(0)));
    WordCache::store(slot, word(0), Ids{1, 2});
    EXPECT_TRUE(WordCache::holds(slot, word(0)));
    EXPECT_FALSE(WordCache::holds(slot, word(0).substr(0, 6)));
    int other = 1;
    while (&cache.slot(word(other)) != &slot) ++other;
    EXPECT_FALSE(WordCache::holds(slot, word(other)));
    WordCache::store(slot, word(other), Ids{3});
    EXPECT_TRUE(WordCache::holds(slot, word(other)));
    EXPECT_FALSE(WordCache::holds(slot, word(0)));
    WordCache::store(slot, word(0), Ids(9, 4));  // too many ids
    EXPECT_FALSE(WordCache::holds(slot, word(0)));
}

TEST(TiktokenTokenizer, RefusesBadFilesInOneLine) {
    const std::string file = goldens()["tiktoken"]["file"];
    const auto message = [](const std::string& bytes, const std::string& pattern) {
        return refusal([&] { TiktokenTokenizer(bytes, "t", pattern); });
    };
    EXPECT_HAS(message(file, ""), "t: is a tiktoken vocabulary that gpas does not know");
    EXPECT_HAS(message(file + "!!! 268\n", "gpt2"), "t:269: is damaged");
    EXPECT_HAS(message(file + "AA== 268\n", "gpt2"), "the same bytes twice");
    EXPECT_HAS(message(file.substr(file.find('\n') + 1), "gpt2"), "has no token for the byte 00");
    EXPECT_HAS(message(file, "(a"), "t: pattern: regular expression \"(a\"");
}

TEST(TiktokenAsJson, GivesTheIdsOfTheFile) {
    const json& golden = goldens()["tiktoken"];
    const std::string file = golden["file"], pattern = golden["pattern"];
    const JsonTokenizer tokenizer(tiktoken_as_json(file, "t", pattern), "t");
    expect_ids(tokenizer, golden["ids"], "<s>");
    EXPECT_EQ(tokenizer.vocab_size(), 269);
    EXPECT_EQ(tokenizer.eos_id(), 268);  // the file has no special tokens
    EXPECT_EQ(tokenizer.piece(268), "<|endoftext|>");
    EXPECT_EQ(tokenizer.encode("a<|endoftext|>"), (Ids{'a', 268}));

    const TiktokenTokenizer tekken(goldens()["tekken"]["file"].dump(), "t");
    const JsonTokenizer converted(tiktoken_as_json(tekken, tekken.bos_id()), "t");
    expect_ids(converted, goldens()["tekken"]["ids"], "<s>");
    EXPECT_EQ(converted.vocab_size(), tekken.vocab_size());
    EXPECT_EQ(converted.bos_id(), tekken.bos_id());
    EXPECT_EQ(converted.eos_id(), tekken.eos_id());
}

TEST(TiktokenAsJson, RefusesWhatItCannotExpress) {
    const std::string file = goldens()["tiktoken"]["file"];
    EXPECT_HAS(refusal([&] { tiktoken_as_json(file, "t", "(a"); }), "--pattern: regular expression \"(a\"");
    EXPECT_HAS(refusal([&] { tiktoken_as_json(file + "!!! 268\n", "t", "gpt2"); }), "t:269: is damaged");
    json tekken = goldens()["tekken"]["file"];
    tekken["special_tokens"] = {{{"rank", 3}, {"token_str", "a"}}};
    const TiktokenTokenizer tokenizer(tekken.dump(), "t");
    try {
        tiktoken_as_json(tokenizer);
        ADD_FAILURE() << "nothing refused";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::usage);
        EXPECT_HAS(std::string(error.what()), "its special token \"a\" is spelled as another token");
    }
}

TEST(RubyPattern, MatchesWhatTheTiktokenPatternMatches) {
    EXPECT_EQ(ruby_pattern(R"(^a$|[$^]{2}|\$)"), R"(\Aa\z|[$^]{2}|\$)");
    EXPECT_EQ(ruby_pattern(R"(\p{N}{1,3}+|x{2,}+)"), R"((?>\p{N}{1,3})|(?>x{2,}))");
    EXPECT_EQ(ruby_pattern(R"((?:a[^b]{1,2}){3}+\{4}++)"), R"((?>(?:a[^b]{1,2}){3})\{4}++)");
    EXPECT_EQ(ruby_pattern(R"([a[b]]{2}+)"), R"((?>[a[b]]{2}))");
    const std::string pattern = R"(\p{N}{1,3}+\p{N}|\p{L}+$|^-)", text = "1234 ab\ncd\n- ef";
    const auto matches = [&](const std::string& regex, RegexDialect dialect) {
        std::vector<std::size_t> ends;
        RegexScratch scratch;
        Regex(regex, dialect, "t").for_each_match(text, scratch, [&](TextSpan match) { ends.push_back(match.end); });
        return ends;
    };
    EXPECT_EQ(matches(ruby_pattern(pattern), RegexDialect::hugging_face), matches(pattern, RegexDialect::tiktoken));
    EXPECT_EQ(matches(pattern, RegexDialect::tiktoken), (std::vector<std::size_t>{4, text.size()}));
}

}  // namespace
}  // namespace gpas::test
