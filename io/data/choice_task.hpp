// Files of multiple-choice questions, for evaluations by log-likelihood: JSON lines, one question per line
// (docs/tasks.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

struct ChoiceQuestion {
    std::string context;
    std::vector<std::string> choices;  // at least two, none empty
    std::int64_t label = 0;            // index of the right choice
    std::string delimiter = " ";       // text between context and choice
    std::int64_t line = 0;             // of the file, from 1
};

struct ChoiceTask {
    std::string name;  // the file's name without folder and extensions
    std::string file;
    std::vector<ChoiceQuestion> questions;  // in the order of the file, at least one
};

// "tasks/arc_easy.jsonl.zst" -> "arc_easy"
std::string choice_task_name(const std::string& file);

// Reads a plain or compressed file. Error(bad_file), one line "FILE:LINE: found ..., expected ...", for the first line
// that is not such a question, and if the file has no question. Lines of white space only are skipped.
ChoiceTask read_choice_task(const std::string& file);

// The number of Unicode characters of well-formed UTF-8.
std::int64_t character_count(std::string_view text);
// Bytes of the white space at the end of well-formed UTF-8. White space is what str.isspace of Python accepts.
std::size_t trailing_space_bytes(std::string_view text);

}  // namespace gpas
