#include "io/tokenizer/ruby_pattern.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace gpas {
namespace {

class Rewriter {
public:
    explicit Rewriter(std::string_view pattern) : rest_(pattern) {}

    std::string result() {
        while (!rest_.empty()) step();
        return std::move(out_);
    }

private:
    void step() {
        const char c = rest_.front();
        if (c == '[') return atom(character_class());
        if (c == '\\') return atom(escape());
        if (c == '{') return interval();
        if (c == '(') {
            open_.push_back(out_.size());
            return copy(1);
        }
        if (c == ')' && !open_.empty()) {
            last_ = open_.back();
            open_.pop_back();
            return copy(1);
        }
        if (c == '^' || c == '$') {
            rest_.remove_prefix(1);
            out_ += c == '^' ? "\\A" : "\\z";
            return;
        }
        if (c == '|' || c == '?' || c == '*' || c == '+') return copy(1);
        atom(1);
    }

    void copy(std::size_t bytes) {
        out_ += rest_.substr(0, bytes);
        rest_.remove_prefix(std::min(bytes, rest_.size()));
    }
    void atom(std::size_t bytes) {
        last_ = out_.size();
        copy(bytes);
    }

    // Length of \p{L}, \x{200c}, \d, ... at the beginning of the rest.
    std::size_t escape() const {
        if (rest_.size() < 3 || rest_[2] != '{') return 2;
        const std::size_t end = rest_.find('}');
        return end == std::string_view::npos ? rest_.size() : end + 1;
    }
    // Length of [...] at the beginning of the rest; classes contain classes.
    std::size_t character_class() const {
        int depth = 0;
        for (std::size_t i = 0; i < rest_.size(); ++i) {
            if (rest_[i] == '\\') {
                ++i;
            } else if (rest_[i] == '[') {
                ++depth;
            } else if (rest_[i] == ']' && --depth == 0) {
                return i + 1;
            }
        }
        return rest_.size();
    }
    void interval() {
        const std::size_t end = rest_.find('}');
        const bool counts = end != std::string_view::npos && end > 1 &&
                            rest_.substr(1, end - 1).find_first_not_of("0123456789,") == std::string_view::npos;
        if (!counts) return atom(1);
        const bool possessive = end + 1 < rest_.size() && rest_[end + 1] == '+';
        if (possessive) out_.insert(last_, "(?>");
        copy(end + 1);
        if (!possessive) return;
        out_ += ')';
        rest_.remove_prefix(1);
    }

    std::string_view rest_;
    std::string out_;
    std::vector<std::size_t> open_;  // positions of the open parentheses
    std::size_t last_ = 0;           // position of the last atom, to which a quantifier belongs
};

}  // namespace

std::string ruby_pattern(std::string_view pattern) { return Rewriter(pattern).result(); }

}  // namespace gpas
