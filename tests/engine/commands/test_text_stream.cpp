#include "engine/commands/prompts.hpp"
#include "engine/commands/text_stream.hpp"

#include "base/error.hpp"
#include "io/data/utf8.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace gpas {
namespace {

// Tokens are words and single bytes. As in SentencePiece, the first word of a text loses its space.
class WordTokenizer final : public Tokenizer {
public:
    TokenizerKind kind() const override { return TokenizerKind::sentencepiece; }
    void encode(std::string_view, std::vector<std::int32_t>&) const override {}
    std::string decode(std::span<const std::int32_t> ids) const override {
        std::string text;
        for (const std::int32_t id : ids) text += pieces_[std::size_t(id)];
        std::int64_t replaced = 0;
        return repair_utf8(text.starts_with(' ') ? text.substr(1) : text, replaced);
    }
    std::int64_t vocab_size() const override { return std::int64_t(pieces_.size()); }
    std::string piece(std::int64_t id) const override { return pieces_[std::size_t(id)]; }
    std::string piece_text(std::int64_t id) const override { return pieces_[std::size_t(id)]; }
    std::int32_t unk_id() const override { return -1; }
    std::int32_t bos_id() const override { return -1; }
    std::int32_t eos_id() const override { return 6; }
    std::int32_t pad_id() const override { return -1; }
    bool lossless() const override { return false; }
    bool cuts_at_newlines() const override { return false; }
    const std::string& model_bytes() const override { return pieces_[0]; }

private:
    std::vector<std::string> pieces_{" one", " two", "\xE2", "\x82", "\xAC", "!", ""};  // 2 3 4: the euro sign
};

std::vector<std::string> parts(const std::vector<std::int32_t>& prompt, const std::vector<std::int32_t>& tokens) {
    const WordTokenizer tokenizer;
    TextStream stream(tokenizer, prompt);
    std::vector<std::string> texts;
    for (const std::int32_t token : tokens) texts.push_back(stream.add(token));
    texts.push_back(stream.rest());
    return texts;
}
using test_support::ScratchDirectory;
using Parts = std::vector<std::string>;

TEST(TextStream, keeps_the_space_between_prompt_and_text) {
    EXPECT_EQ(parts({0}, {1, 0, 5}), (Parts{" two", " one", "!", ""}));
}

TEST(TextStream, returns_a_character_once_its_bytes_are_complete) {
    EXPECT_EQ(parts({0}, {2, 3, 4, 5}), (Parts{"", "", "\u20AC", "!", ""}));
    EXPECT_EQ(parts({0}, {5, 2}), (Parts{"!", "", "\uFFFD"}));
}

TEST(TextStream, a_token_without_text_changes_nothing) { EXPECT_EQ(parts({0}, {6, 1}), (Parts{"", " two", ""})); }

TEST(TextStream, gives_the_text_of_any_number_of_tokens) {
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < 100; ++i) tokens.insert(tokens.end(), {i % 2, 2, 3, 4});
    std::string whole;
    for (const std::string& part : parts({1}, tokens)) whole += part;
    std::vector<std::int32_t> all{1};
    all.insert(all.end(), tokens.begin(), tokens.end());
    EXPECT_EQ("two" + whole, WordTokenizer().decode(all));
}

TEST(Prompts, are_read_from_json_lines_and_a_bad_line_is_named) {
    const ScratchDirectory directory;
    const auto read = [&](const std::string& text) {
        std::ofstream(directory / "prompts.jsonl") << text;
        return read_prompts(directory / "prompts.jsonl");
    };
    EXPECT_EQ(read("{\"prompt\": \"a\\nb\"}\n\n{\"id\": 3, \"prompt\": \"\"}"), (Parts{"a\nb", ""}));
    for (const auto& [text, message] : {std::pair{"{\"prompt\": \"a\"}\n{\"text\": \"b\"}\n", "prompts.jsonl:2: "},
                                        {"It was\n", "prompts.jsonl:1: "},
                                        {"{\"prompt\": 3}\n", "prompts.jsonl:1: "},
                                        {"\n", "found no prompt"}}) {
        try {
            read(text);
            ADD_FAILURE() << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::bad_file);
            EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
        }
    }
    EXPECT_THROW(read_prompts(directory / "absent"), Error);
}

}  // namespace
}  // namespace gpas
