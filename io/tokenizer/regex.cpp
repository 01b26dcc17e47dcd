#include "io/tokenizer/regex.hpp"

#include "base/error.hpp"
#include "io/data/utf8.hpp"

#include <oniguruma.h>

#include <array>
#include <mutex>
#include <new>

namespace gpas {
namespace {

void initialize_oniguruma() {
    static std::once_flag once;
    std::call_once(once, [] {
        std::array<OnigEncoding, 1> encodings{ONIG_ENCODING_UTF8};
        onig_initialize(encodings.data(), int(encodings.size()));
    });
}

// Perl's syntax with possessive intervals, as fancy-regex has them; tiktoken uses fancy-regex.
OnigSyntaxType tiktoken_syntax() {
    OnigSyntaxType syntax = OnigSyntaxPerl;
    syntax.op2 |= ONIG_SYN_OP2_PLUS_POSSESSIVE_INTERVAL;
    return syntax;
}

std::string one_line(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    return text;
}

// The message may quote a part of the pattern.
std::string error_text(int code, OnigErrorInfo* info) {
    std::array<OnigUChar, ONIG_MAX_ERROR_MESSAGE_LEN> text{};
    const int length =
        info != nullptr ? onig_error_code_to_str(text.data(), code, info) : onig_error_code_to_str(text.data(), code);
    return one_line({reinterpret_cast<const char*>(text.data()), std::size_t(length)});
}

std::string quoted_pattern(std::string_view pattern) {
    const std::string text = one_line(std::string(pattern.substr(0, 80)));
    return "\"" + text + (pattern.size() > 80 ? "...\"" : "\"");
}

const OnigUChar* bytes_of(std::string_view text) { return reinterpret_cast<const OnigUChar*>(text.data()); }

}  // namespace

RegexScratch::RegexScratch()
    : registers_(onig_region_new(), [](re_registers* registers) { onig_region_free(registers, 1); }) {
    if (registers_ == nullptr) throw std::bad_alloc();
}

Regex::Regex(const std::string& pattern, RegexDialect dialect, const std::string& where) : where_(where) {
    initialize_oniguruma();
    if (valid_utf8_prefix(pattern) != pattern.size())
        fail(ExitCode::bad_file, "{}: the regular expression is not well-formed UTF-8", where);
    OnigSyntaxType syntax = dialect == RegexDialect::tiktoken ? tiktoken_syntax() : OnigSyntaxRuby;
    regex_t* regex = nullptr;
    OnigErrorInfo info{};
    const int code = onig_new(&regex, bytes_of(pattern), bytes_of(pattern) + pattern.size(), ONIG_OPTION_NONE,
                              ONIG_ENCODING_UTF8, &syntax, &info);
    if (code != ONIG_NORMAL)
        fail(ExitCode::bad_file, "{}: regular expression {}: {}", where, quoted_pattern(pattern),
             error_text(code, &info));
    regex_ = std::shared_ptr<re_pattern_buffer>(regex, [](re_pattern_buffer* r) { onig_free(r); });
}

bool Regex::search(std::string_view text, std::size_t from, TextSpan& match, RegexScratch& scratch) const {
    const OnigUChar* begin = bytes_of(text);
    const OnigUChar* end = begin + text.size();
    const int found = onig_search(regex_.get(), begin, end, begin + from, end, scratch.get(), ONIG_OPTION_NONE);
    if (found == ONIG_MISMATCH) return false;
    if (found < 0) {
        fail(ExitCode::bad_file, "{}: the search for its regular expression failed in a text of {} bytes: {}", where_,
             text.size(), error_text(found, nullptr));
    }
    match = {std::size_t(scratch.get()->beg[0]), std::size_t(scratch.get()->end[0])};
    return true;
}

std::string Regex::escaped(std::string_view text) {
    std::string pattern;
    for (const char c : text) {
        if (std::string_view("\\.+*?()|[]{}^$#&-~/").find(c) != std::string_view::npos) pattern += '\\';
        pattern += c;
    }
    return pattern;
}

}  // namespace gpas
