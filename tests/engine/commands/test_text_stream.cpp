#include "engine/commands/prompts.hpp"
#include "engine/commands/text_stream.hpp"

#include "base/error.hpp"
#include "tests/engine/commands/word_tokenizer.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace gpas {
namespace {

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
