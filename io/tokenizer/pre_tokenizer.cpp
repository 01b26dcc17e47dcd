#include "io/tokenizer/pre_tokenizer.hpp"

#include "io/tokenizer/byte_alphabet.hpp"

#include <algorithm>
#include <utility>

namespace gpas {
namespace {

// Collects the matches and the text between them, from left to right, into pieces.
class PieceCollector {
public:
    PieceCollector(SplitBehavior behavior, std::vector<TextSpan>& pieces)
        : behavior_(behavior), pieces_(pieces), first_(pieces.size()) {}

    void add(TextSpan span, bool match) {
        if (joins(match)) {
            pieces_.back().end = span.end;
        } else if (!match || behavior_ != SplitBehavior::removed) {
            pieces_.push_back(span);
        }
        before_ = match;
    }

private:
    // Whether the span belongs to the piece before it.
    bool joins(bool match) const {
        const bool none_before = pieces_.size() == first_;
        if (none_before) return false;
        if (behavior_ == SplitBehavior::merged_with_previous) return match && !before_;
        if (behavior_ == SplitBehavior::contiguous) return match == before_;
        // A run of matches: only its last one joins the text after it.
        if (behavior_ == SplitBehavior::merged_with_next) return !match && before_;
        return false;
    }

    SplitBehavior behavior_;
    std::vector<TextSpan>& pieces_;
    std::size_t first_;
    bool before_ = false;  // the span before was a match
};

// The state between two steps: the text, and the pieces of it in scratch.pieces.
struct State {
    std::string_view text;
    bool first;  // the first piece begins the whole text, if it begins at 0
    PreTokenizerScratch& scratch;

    void swap_pieces() {
        if (!scratch.next_pieces.empty() && scratch.next_pieces.front().begin > 0) first = false;
        std::swap(scratch.pieces, scratch.next_pieces);
    }
};

struct Step {
    State& state;

    void operator()(const SplitByRegex& step) const {
        auto& out = state.scratch.next_pieces;
        out.clear();
        for (const TextSpan& piece : state.scratch.pieces) {
            const std::string_view text = state.text.substr(piece.begin, piece.end - piece.begin);
            PieceCollector collector(step.behavior, out);
            std::size_t done = 0;
            const auto add = [&](std::size_t begin, std::size_t end, bool match) {
                if (begin < end) collector.add({piece.begin + begin, piece.begin + end}, match != step.invert);
            };
            step.pattern->for_each_match(text, state.scratch.regex, [&](TextSpan match) {
                add(done, match.begin, false);
                add(match.begin, match.end, true);
                done = match.end;
            });
            add(done, text.size(), false);
        }
        state.swap_pieces();
    }

    void operator()(const PrefixPieces& step) const {
        bool first = state.first;
        rewrite([&](std::string_view piece, std::string& out) {
            if ((first || !step.only_first) && !piece.starts_with(step.text)) out += step.text;
            out += piece;
            first = false;
        });
    }

    void operator()(const ReplaceSpaces& step) const {
        rewrite([&](std::string_view piece, std::string& out) {
            for (const char c : piece) c == ' ' ? out += step.by : out += c;
        });
    }

    void operator()(const MapBytes&) const {
        rewrite([](std::string_view piece, std::string& out) { append_byte_characters(piece, out); });
    }

    // Writes each piece into a new text.
    template <class Write>
    void rewrite(const Write& write) const {
        PreTokenizerScratch& scratch = state.scratch;
        scratch.next_text.clear();
        for (TextSpan& piece : scratch.pieces) {
            const std::size_t begin = scratch.next_text.size();
            write(state.text.substr(piece.begin, piece.end - piece.begin), scratch.next_text);
            piece = {begin, scratch.next_text.size()};
        }
        std::swap(scratch.text, scratch.next_text);
        state.text = scratch.text;
    }
};

}  // namespace

std::string_view split_words(const std::vector<PreTokenizerStep>& steps, std::string_view text, bool first,
                             PreTokenizerScratch& scratch) {
    State state{text, first, scratch};
    scratch.pieces.clear();
    if (!text.empty()) scratch.pieces.push_back({0, text.size()});
    for (const PreTokenizerStep& step : steps) std::visit(Step{state}, step);
    return state.text;
}

}  // namespace gpas
