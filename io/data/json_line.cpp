#include "io/data/json_line.hpp"

#include "io/data/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace gpas {
namespace {

// Why this is not a library: the JSON libraries of Debian 12 refuse texts that Python's json module writes.
// nlohmann/json refuses NaN, lone surrogates and numbers beyond the range of double; RapidJSON refuses the last two.
// simdjson skips values without checking them.

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

void append_utf8(std::uint32_t c, std::string& out) {
    if (c < 0x80) {
        out += char(c);
    } else if (c < 0x800) {
        out += {char(0xc0 | c >> 6), char(0x80 | (c & 63))};
    } else if (c < 0x10000) {
        out += {char(0xe0 | c >> 12), char(0x80 | (c >> 6 & 63)), char(0x80 | (c & 63))};
    } else {
        out += {char(0xf0 | c >> 18), char(0x80 | (c >> 12 & 63)), char(0x80 | (c >> 6 & 63)), char(0x80 | (c & 63))};
    }
}

bool high_surrogate(std::uint32_t c) { return c >= 0xd800 && c < 0xdc00; }
bool low_surrogate(std::uint32_t c) { return c >= 0xdc00 && c < 0xe000; }

// A cursor over one JSON text. If a function returns false, reason() is the error and at() its position.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    std::size_t at() const { return at_; }
    bool ended() const { return at_ == text_.size(); }
    const char* reason() const { return reason_; }
    char peek() const { return ended() ? '\0' : text_[at_]; }

    void skip_space() {
        while (!ended() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
    }
    bool take(char c) {
        if (ended() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    bool fail(const char* reason) {
        reason_ = ended() ? "the line ends too early" : reason;
        return false;
    }

    // Reads a string, and appends its value to `value` unless `value` is null.
    bool string(std::string* value) {
        if (!take('"')) return fail("expected a string");
        while (true) {
            const std::size_t begin = at_;
            while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
                   static_cast<unsigned char>(text_[at_]) >= 0x20)
                ++at_;
            if (value != nullptr) value->append(text_.substr(begin, at_ - begin));
            if (take('"')) return true;
            if (!take('\\')) return fail("a string holds a control character");
            if (!escape(value)) return false;
        }
    }

    // Checks and skips a number or a word (true, false, null, NaN, Infinity).
    bool scalar() {
        for (const std::string_view word : {"true", "false", "null", "NaN", "Infinity", "-Infinity"}) {
            if (text_.substr(at_, word.size()) == word) {
                at_ += word.size();
                return true;
            }
            if (!ended() && word.starts_with(text_.substr(at_))) {
                at_ = text_.size();
                return fail("");
            }
        }
        take('-');
        if (!take('0') && !digits()) return fail("expected a value");
        if (take('.') && !digits()) return fail("expected a digit");
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            if (!digits()) return fail("expected a digit");
        }
        return true;
    }

private:
    bool digits() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
        return at_ > begin;
    }

    bool escape(std::string* value) {
        constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        if (take('u')) return unicode_escape(value);
        const std::size_t which = ended() ? std::string_view::npos : names.find(text_[at_]);
        if (which == std::string_view::npos) return fail("unknown escape in a string");
        ++at_;
        if (value != nullptr) *value += meanings[which];
        return true;
    }

    bool unicode_escape(std::string* value) {
        std::uint32_t c = 0;
        if (!hex4(c)) return fail("expected four hexadecimal digits");
        if (high_surrogate(c) && text_.substr(at_, 2) == "\\u") {
            const std::size_t after_first = at_;
            at_ += 2;
            std::uint32_t second = 0;
            if (!hex4(second)) return fail("expected four hexadecimal digits");
            if (low_surrogate(second)) {
                c = 0x10000 + ((c - 0xd800) << 10) + (second - 0xdc00);
            } else {
                at_ = after_first;
            }
        }
        if (value == nullptr) return true;
        if (high_surrogate(c) || low_surrogate(c)) {
            *value += '\xff';
        } else {
            append_utf8(c, *value);
        }
        return true;
    }

    bool hex4(std::uint32_t& value) {
        value = 0;
        for (const std::size_t end = at_ + 4; at_ < end; ++at_) {
            const char c = peek();
            std::uint32_t digit = 0;
            if (c >= '0' && c <= '9') {
                digit = std::uint32_t(c - '0');
            } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
                digit = std::uint32_t((c | 0x20) - 'a' + 10);
            } else {
                return false;
            }
            value = value * 16 + digit;
        }
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    const char* reason_ = "";
};

}  // namespace

const char* json_type_name(char first) {
    switch (first) {
        case '{': return "object";
        case '[': return "array";
        case '"': return "string";
        case 't':
        case 'f': return "boolean";
        case 'n': return "null";
        default: return "number";
    }
}

namespace {

// Reads one JSON value without recursion, and stores the string under `key` of the outermost object.
class ObjectReader {
public:
    ObjectReader(std::string_view text, std::string_view key, std::string* out)
        : scanner_(text), key_(key), text_(out) {}

    // Reads one complete value. If it returns false, scanner() has the reason and the position.
    bool read() {
        scanner_.skip_space();
        first_ = scanner_.peek();
        do {
            if (!begin_value()) return false;
            while (value_ended_ && !open_.empty()) {
                if (!after_value()) return false;
            }
        } while (!open_.empty());
        return true;
    }

    Scanner& scanner() { return scanner_; }
    char first() const { return first_; }               // of the outermost value
    char found_type() const { return found_; }          // first character of the value under the key; '\0': no key
    std::size_t found_at() const { return found_at_; }  // position of that value
    void collect(std::vector<std::string>& names) { names_ = &names; }  // of the members of the outermost object

private:
    // Reads a scalar, an empty container, or the opening of a container with its first key.
    bool begin_value() {
        scanner_.skip_space();
        const char c = scanner_.peek();
        std::string* target = nullptr;
        if (wanted_ && open_.size() == 1) {
            found_ = c;
            found_at_ = scanner_.at();
            text_->clear();
            target = text_;
        }
        wanted_ = false;
        value_ended_ = true;
        if (c == '"') return scanner_.string(target);
        if (c != '{' && c != '[') return scanner_.scalar();
        scanner_.take(c);
        scanner_.skip_space();
        if (scanner_.take(c == '{' ? '}' : ']')) return true;
        open_ += c;
        value_ended_ = false;
        return c == '[' || member_key();
    }

    bool after_value() {
        scanner_.skip_space();
        const bool object = open_.back() == '{';
        if (scanner_.take(object ? '}' : ']')) {
            open_.pop_back();
            return true;
        }
        if (!scanner_.take(',')) return scanner_.fail(object ? "expected , or }" : "expected , or ]");
        value_ended_ = false;
        if (!object) return true;
        scanner_.skip_space();
        return member_key();
    }

    bool member_key() {
        if (text_ != nullptr && open_.size() == 1) {
            name_.clear();
            if (!scanner_.string(&name_)) return false;
            wanted_ = name_ == key_;
            if (names_ != nullptr) names_->push_back(name_);
        } else if (!scanner_.string(nullptr)) {
            return false;
        }
        scanner_.skip_space();
        return scanner_.take(':') || scanner_.fail("expected :");
    }

    Scanner scanner_;
    std::string_view key_;
    std::string* text_;
    std::string open_;  // '{' or '[' for each open container
    std::string name_;
    std::vector<std::string>* names_ = nullptr;
    bool wanted_ = false;       // the next value is that of the key
    bool value_ended_ = false;  // a value is complete; a comma or the end of its container follows
    char first_ = '\0', found_ = '\0';
    std::size_t found_at_ = 0;
};

bool fail_line(BadLine& bad, LineProblem problem, std::string reason) {
    bad = {problem, std::move(reason)};
    return false;
}

// The reason for a missing key: lists the keys that the object has.
std::string no_key_reason(std::string_view object, std::string_view key) {
    if (object.starts_with(byte_order_mark)) object.remove_prefix(byte_order_mark.size());
    constexpr std::size_t shown = 5, longest_name = 40;
    std::vector<std::string> names;
    std::string unused, list;
    ObjectReader reader(object, key, &unused);
    reader.collect(names);
    reader.read();
    for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) {
        std::int64_t replaced = 0;
        std::string name = repair_utf8(std::string_view(names[i]).substr(0, longest_name), replaced);
        std::replace_if(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
        list += fmt::format("{}\"{}\"", i > 0 ? ", " : "", name);
    }
    if (names.size() > shown) list += ", ...";
    return fmt::format("the object has no \"{}\"{}", key, list.empty() ? "" : fmt::format(" (its keys are {})", list));
}

}  // namespace

std::string_view line_problem_name(LineProblem problem) {
    constexpr std::array<std::string_view, line_problems> names{"not JSON", "not a JSON object", "without the key",
                                                                "value is not a string", "too long"};
    return names[std::size_t(problem)];
}

bool json_line_member(std::string_view line, std::string_view key, std::string& text, JsonMember& member,
                      BadLine& bad) {
    const std::size_t skipped = line.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
    ObjectReader reader(line.substr(skipped), key, &text);
    bool good = reader.read();
    Scanner& scanner = reader.scanner();
    if (good) {
        scanner.skip_space();
        good = scanner.ended() || scanner.fail("something follows the value");
    }
    if (!good)
        return fail_line(
            bad, LineProblem::not_json,
            fmt::format("is not JSON: {} at byte {} of the line", scanner.reason(), skipped + scanner.at() + 1));
    if (reader.first() != '{')
        return fail_line(bad, LineProblem::not_object,
                         fmt::format("is a JSON {}, expected an object", json_type_name(reader.first())));
    member = {reader.found_type(), line.substr(skipped + reader.found_at())};
    return true;
}

bool json_line_text(std::string_view line, std::string_view key, std::string& text, BadLine& bad) {
    JsonMember member;
    if (!json_line_member(line, key, text, member, bad)) return false;
    if (member.type == '\0') return fail_line(bad, LineProblem::no_key, no_key_reason(line, key));
    if (member.type != '"')
        return fail_line(bad, LineProblem::not_string,
                         fmt::format("\"{}\" is a JSON {}, expected a string", key, json_type_name(member.type)));
    return true;
}

std::string_view json_value(std::string_view text) {
    ObjectReader reader(text, {}, nullptr);
    reader.read();
    return text.substr(0, reader.scanner().at());
}

JsonHead json_head(std::string_view head) {
    ObjectReader reader(head, {}, nullptr);
    const bool complete = reader.read();
    Scanner& scanner = reader.scanner();
    if (!complete && !scanner.ended()) return {};
    const std::size_t begin = std::min(head.find_first_not_of(" \t\r\n"), head.size());
    const bool newline = head.substr(begin, scanner.at() - begin).find('\n') != std::string_view::npos;
    scanner.skip_space();
    return {reader.first(), newline, complete, scanner.ended()};
}

}  // namespace gpas
