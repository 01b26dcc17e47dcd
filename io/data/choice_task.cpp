#include "io/data/choice_task.hpp"

#include "base/error.hpp"
#include "io/data/text_reader.hpp"
#include "io/tokenizer/code_point.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <filesystem>

namespace gpas {
namespace {

using QuestionJson = nlohmann::json;

constexpr std::array question_keys{"context", "choices", "label", "delimiter"};

// The value as JSON, cut to a length that fits on the line of a message.
std::string shown(const QuestionJson& value) {
    constexpr std::size_t longest = 60;
    const std::string text = value.dump(-1, ' ', true);
    return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

// Reads the question of one line.
class QuestionLine {
public:
    QuestionLine(std::string_view text, const std::string& file, std::int64_t line)
        : place_(fmt::format("{}:{}", file, line)) {
        try {
            object_ = QuestionJson::parse(text);
        } catch (const QuestionJson::parse_error& error) {
            refuse("", fmt::format("text that is not JSON (at byte {})", error.byte), "a JSON object");
        }
        if (!object_.is_object()) refuse("", shown(object_), "a JSON object");
        for (const auto& [key, value] : object_.items())
            if (std::find(question_keys.begin(), question_keys.end(), key) == question_keys.end())
                refuse("", fmt::format("the key {}", shown(key)), "only context, choices, label and delimiter");
    }

    ChoiceQuestion question() const {
        ChoiceQuestion question{.context = text("context", needed("context")), .choices = choices(), .label = label()};
        if (object_.contains("delimiter")) question.delimiter = text("delimiter", object_["delimiter"]);
        return question;
    }

private:
    [[noreturn]] void refuse(const std::string& key, const std::string& found, const std::string& expected) const {
        fail(ExitCode::bad_file, "{}: {}{}found {}, expected {}", place_, key, key.empty() ? "" : ": ", found,
             expected);
    }
    const QuestionJson& needed(const char* key) const {
        const auto found = object_.find(key);
        if (found == object_.end())
            refuse("", fmt::format("no key \"{}\"", key), "an object with the keys context, choices and label");
        return *found;
    }
    std::string text(const std::string& key, const QuestionJson& value) const {
        if (!value.is_string()) refuse(key, shown(value), "a string");
        return value.get<std::string>();
    }
    std::vector<std::string> choices() const {
        const QuestionJson& list = needed("choices");
        if (!list.is_array() || list.size() < 2) refuse("choices", shown(list), "a list of two or more strings");
        std::vector<std::string> choices;
        for (std::size_t i = 0; i < list.size(); ++i) {
            const std::string key = fmt::format("choices[{}]", i);
            choices.push_back(text(key, list[i]));
            if (choices.back().empty()) refuse(key, "an empty string", "a string with at least one character");
        }
        return choices;
    }
    std::int64_t label() const {
        const QuestionJson& value = needed("label");
        const std::int64_t count = std::int64_t(needed("choices").size());
        const std::int64_t index = value.is_number_integer() ? value.get<std::int64_t>() : -1;
        if (index < 0 || index >= count)
            refuse("label", shown(value),
                   fmt::format("the index of the right choice, an integer from 0 to {}", count - 1));
        return index;
    }

    std::string place_;
    QuestionJson object_;
};

bool is_python_space(std::uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

}  // namespace

std::string choice_task_name(const std::string& file) {
    const std::string name = std::filesystem::path(file).filename().string();
    return name.substr(0, name.find('.', 1));
}

ChoiceTask read_choice_task(const std::string& file) {
    if (std::error_code error; !std::filesystem::is_regular_file(file, error))
        fail(ExitCode::bad_file, "{}: found {}, expected a file of questions (JSON lines, docs/tasks.md)", file,
             std::filesystem::exists(file, error) ? "no regular file" : "no such file");
    ChoiceTask task{.name = choice_task_name(file), .file = file, .questions = {}};
    TextReader reader(open_inputs({file}, DocumentMode::jsonl, "context").files, {.documents = DocumentMode::jsonl});
    for (TextUnit unit; reader.next(unit);) {
        for (const TextRecord& record : unit.records) {
            const auto line = std::string_view(unit.text).substr(record.begin, record.end - record.begin);
            if (is_blank(line)) continue;
            task.questions.push_back(QuestionLine(line, file, record.line).question());
            task.questions.back().line = record.line;
        }
    }
    if (task.questions.empty())
        fail(ExitCode::bad_file, "{}: found no question, expected one per line (JSON lines, docs/tasks.md)", file);
    return task;
}

std::int64_t character_count(std::string_view text) {
    return std::count_if(text.begin(), text.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::size_t trailing_space_bytes(std::string_view text) {
    std::size_t end = text.size();
    while (end > 0) {
        std::size_t begin = end - 1;
        while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
        if (!is_python_space(code_point(text.substr(begin, end - begin)))) break;
        end = begin;
    }
    return text.size() - end;
}

}  // namespace gpas
