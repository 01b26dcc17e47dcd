// Reads one line of a JSON lines file: the string under one key of the line's object.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gpas {

// Reasons why a line is unusable. Reports and .prepare.json list the counts in this order.
enum class LineProblem { not_json, not_object, no_key, not_string, too_long };

constexpr std::size_t line_problems = 5;
using LineProblemCounts = std::array<std::int64_t, line_problems>;

// "not JSON", "not a JSON object", ...: completes "3 lines skipped: ".
std::string_view line_problem_name(LineProblem problem);

struct BadLine {
    LineProblem problem = LineProblem::not_json;
    std::string reason;  // completes "file:line: "
};

// text = the string under `key`. Returns false and fills `bad` if the line is not an object with a string under `key`.
// Accepts everything that Python's json.loads accepts: numbers of any size, NaN, Infinity and -Infinity, escapes of
// lone surrogates, any depth of nesting (memory: one byte per level). If a key occurs twice, its last value counts.
// `text` may be ill-formed UTF-8: bytes of the line are copied unchanged, and each escape of a lone surrogate becomes
// the byte FF, which repair_utf8 turns into one U+FFFD.
bool json_line_text(std::string_view line, std::string_view key, std::string& text, BadLine& bad);

// A member of a JSON object.
struct JsonMember {
    char type = '\0';       // first character of the value; '\0': the object has no such key
    std::string_view rest;  // the line from the value to its end
};

// As json_line_text, but any value counts, and a missing key is not an error: `member` has the value under `key`, and
// `text` its text if it is a string.
bool json_line_member(std::string_view line, std::string_view key, std::string& text, JsonMember& member, BadLine& bad);

// The complete value at the beginning of a valid JSON text, such as JsonMember::rest.
std::string_view json_value(std::string_view text);

// "object", "array", "string", ...: the type of a value by its first character.
const char* json_type_name(char first);

// The JSON value at the beginning of a text. `head`, the beginning of the text, may end inside the value.
struct JsonHead {
    char first = '\0';        // first character of the value; '\0': no JSON value
    bool many_lines = false;  // the value contains a newline: it is pretty-printed
    bool complete = false;    // `head` contains the end of the value
    bool alone = false;       // only white space follows the value in `head`
};
JsonHead json_head(std::string_view head);

}  // namespace gpas
