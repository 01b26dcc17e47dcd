// One line of a JSON lines file: finds the string under one key of its object.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gpas {

// What can be wrong with a line. The order is that of the counts in reports and in .prepare.json.
enum class LineProblem { not_json, not_object, no_key, not_string, too_long };

constexpr std::size_t line_problems = 5;
using LineProblemCounts = std::array<std::int64_t, line_problems>;

// "not JSON", "not a JSON object", ...: completes "3 lines skipped: ".
std::string_view line_problem_name(LineProblem problem);

struct BadLine {
    LineProblem problem = LineProblem::not_json;
    std::string reason;  // completes "file:line: "
};

// Reads everything that Python's json.loads reads: numbers of any size, NaN, Infinity and -Infinity, escapes of lone
// surrogates, any depth of nesting (memory: one byte per level). If a key occurs twice, its last value counts. Returns
// false and fills `bad` if the line is not an object with a string under `key`. `text` may be ill-formed UTF-8: bytes
// of the line come through as they are, and each escape of a lone surrogate becomes the byte FF, so that repair_utf8
// makes one U+FFFD of it.
bool json_line_text(std::string_view line, std::string_view key, std::string& text, BadLine& bad);

// What JSON value a text begins with; `head` may end inside the value.
struct JsonHead {
    char first = '\0';        // its first character; '\0': no JSON value
    bool many_lines = false;  // a newline stands inside the value: it is pretty-printed
    bool complete = false;    // its end is in the head
    bool alone = false;       // nothing but white space follows it in the head
};
JsonHead json_head(std::string_view head);

}  // namespace gpas
