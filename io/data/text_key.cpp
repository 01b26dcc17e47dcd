#include "io/data/text_key.hpp"

#include "base/error.hpp"

#include <algorithm>

namespace gpas {
namespace {

// Reads the string at a path through nested objects; `line` is an object.
bool text_at_path(std::string_view line, std::string_view path, std::string& text, BadLine& bad) {
    std::string_view object = line;
    std::size_t begin = 0;
    const auto refuse = [&] {
        const std::string inside = begin > 0 ? fmt::format("in \"{}\", ", path.substr(0, begin - 1)) : "";
        bad.reason = fmt::format("no text under \"{}\": {}{}", path, inside, bad.reason);
        return false;
    };
    for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', begin)) {
        const std::string_view name = path.substr(begin, dot - begin);
        JsonMember member;
        json_line_member(object, name, text, member, bad);
        if (member.type == '\0') {
            json_line_text(object, name, text, bad);  // for the reason
            return refuse();
        }
        if (member.type != '{') {
            bad = {LineProblem::no_key,
                   fmt::format("\"{}\" is a JSON {}, expected an object", name, json_type_name(member.type))};
            return refuse();
        }
        object = json_value(member.rest);
        begin = dot + 1;
    }
    return json_line_text(object, path.substr(begin), text, bad) || refuse();
}

bool text_under_key(std::string_view line, std::string_view key, std::string& text, BadLine& bad) {
    if (key.find('.') == std::string_view::npos) return json_line_text(line, key, text, bad);
    JsonMember member;
    if (!json_line_member(line, key, text, member, bad)) return false;
    if (member.type == '"') return true;
    return member.type == '\0' ? text_at_path(line, key, text, bad) : json_line_text(line, key, text, bad);
}

}  // namespace

void check_text_keys(const std::string& keys) {
    const std::string separated = "," + keys + ",";
    if (separated.find(",,") != std::string::npos) {
        fail(ExitCode::usage, "--text-key '{}': has an empty key, expected keys such as text, meta.text or title,text",
             keys);
    }
    if (keys.find('/') != std::string::npos) {
        fail(ExitCode::usage, "--text-key '{}': is part of the output's file name, expected a key without /", keys);
    }
}

std::string text_keys_in_file_name(std::string keys) {
    std::replace(keys.begin(), keys.end(), ',', '+');
    return keys;
}

bool text_under_keys(std::string_view line, std::string_view keys, std::string& text, BadLine& bad) {
    std::size_t comma = keys.find(',');
    if (comma == std::string_view::npos) return text_under_key(line, keys, text, bad);
    std::string joined;
    for (std::size_t begin = 0; begin <= keys.size(); begin = comma + 1) {
        comma = std::min(keys.find(',', begin), keys.size());
        if (!text_under_key(line, keys.substr(begin, comma - begin), text, bad)) return false;
        if (begin > 0) joined += '\n';
        joined += text;
    }
    text.swap(joined);
    return true;
}

}  // namespace gpas
