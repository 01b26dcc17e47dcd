#include "io/tokenizer/tiktoken_file.hpp"

#include "base/error.hpp"
#include "io/tokenizer/known_tiktoken.hpp"

#include <charconv>

namespace gpas {
namespace {

constexpr std::int32_t largest_rank = 1 << 24;

int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

}  // namespace

bool decode_base64(std::string_view text, std::string& bytes) {
    bytes.clear();
    if (text.empty() || text.size() % 4 != 0) return false;
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int digit = i + padding < text.size() ? base64_digit(text[i]) : 0;
        if (digit < 0) return false;
        bits = bits << 6 | std::uint32_t(digit);
        if (i % 4 == 3) bytes += {char(bits >> 16), char(bits >> 8), char(bits)};
    }
    bytes.resize(bytes.size() - padding);
    return true;
}

TiktokenFile read_tiktoken(const std::string& bytes, const std::string& name) {
    TiktokenFile file;
    std::string_view rest = bytes;
    for (std::int64_t number = 1; !rest.empty(); ++number) {
        std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) continue;
        const std::size_t space = line.find(' ');
        std::string token;
        std::int32_t rank = -1;
        bool good = space != std::string_view::npos && decode_base64(line.substr(0, space), token);
        if (good) {
            const auto [end, error] = std::from_chars(line.data() + space + 1, line.data() + line.size(), rank);
            good = error == std::errc() && end == line.data() + line.size() && rank >= 0 && rank < largest_rank;
        }
        if (!good)
            fail(ExitCode::bad_file, "{}:{}: is damaged: expected a token in base64, a space and its rank", name,
                 number);
        file.tokens.emplace_back(std::move(token), rank);
    }
    complete_known_tiktoken(bytes, file);
    return file;
}

}  // namespace gpas
