#include "engine/commands/chat_template.hpp"

#include "base/error.hpp"
#include "tests/engine/commands/word_tokenizer.hpp"
#include "tests/support/scratch_directory.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <functional>

namespace gpas {
namespace {

using test_support::ScratchDirectory;

const std::string brackets =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[{{ m.content.strip() }}]{% elif m.role == "
    "'assistant' %}{{ m.content }}{{ eos_token }}{% else %}{{ raise_exception('no ' + m.role) }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}>{% endif %}";

class ChatTemplates : public testing::Test {
protected:
    ChatTemplates() { write("tokenizer.json", "{}"); }
    void write(const std::string& name, const std::string& text) const { std::ofstream(directory_ / name) << text; }
    ChatTemplate open(TokenizerKind kind = TokenizerKind::hugging_face) const {
        return ChatTemplate(directory_ / "tokenizer.json", WordTokenizer(kind));
    }
    static void expect_error(const std::function<void()>& action, ExitCode code, const std::string& words) {
        try {
            action();
            ADD_FAILURE() << "no error: " << words;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code) << error.what();
            EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
            EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        }
    }
    static bool jinja_is_missing() { return std::system("python3 -c 'import jinja2' 2>/dev/null") != 0; }

    ScratchDirectory directory_;
};

TEST_F(ChatTemplates, give_the_text_of_each_conversation) {
    if (jinja_is_missing()) GTEST_SKIP() << "python3 has no jinja2";
    write("tokenizer_config.json", nlohmann::json{{"chat_template", brackets}}.dump());
    EXPECT_EQ(open().texts_of({{{"user", " Hello\n"}}, {{"user", "a"}, {"assistant", "b\u20AC"}, {"user", "c\"\n"}}}),
              std::vector<std::string>({"<s>[Hello]>", "<s>[a]b\u20AC</s>[c\"]>"}));
    expect_error([&] { open().texts_of({{{"system", "x"}}}); }, ExitCode::usage, "refuses the messages: no system");
    write("chat_template.jinja", "{{ messages[0]['content'] }}");  // comes before tokenizer_config.json
    EXPECT_EQ(open().texts_of({{{"user", "x"}}}).front(), "x");
    write("chat_template.jinja", "{% for %}");
    expect_error([&] { open().texts_of({{{"user", "x"}}}); }, ExitCode::usage, "chat_template.jinja: ");
}

TEST_F(ChatTemplates, that_are_missing_or_of_another_tokenizer_are_refused) {
    expect_error([&] { open(); }, ExitCode::usage, "found no chat template next to");
    write("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"tools\", \"template\": \"\"}]}");
    expect_error([&] { open(); }, ExitCode::bad_file, "'default'");
    write("tokenizer_config.json", "[]");
    expect_error([&] { open(); }, ExitCode::bad_file, "not a JSON object");
    write("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"default\", \"template\": \"x\"}]}");
    EXPECT_NO_THROW(open());
    expect_error([&] { open(TokenizerKind::sentencepiece); }, ExitCode::usage, "expected a tokenizer.json");
}

TEST_F(ChatTemplates, name_the_package_if_python_lacks_jinja2) {
    write("chat_template.jinja", "x");
    write("python3", "#!/bin/sh\necho 'No module named jinja2' >&2\nexit 3\n");
    std::filesystem::permissions(directory_ / "python3", std::filesystem::perms::owner_all);
    const std::string path = std::getenv("PATH");
    setenv("PATH", directory_.get().c_str(), 1);
    expect_error([&] { open().texts_of({}); }, ExitCode::environment, "python3-jinja2");
    std::filesystem::remove(directory_ / "python3");
    expect_error([&] { open().texts_of({}); }, ExitCode::environment, "python3 cannot be started");
    setenv("PATH", path.c_str(), 1);
}

}  // namespace
}  // namespace gpas
