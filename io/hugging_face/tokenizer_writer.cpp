#include "io/hugging_face/tokenizer_writer.hpp"

#include "base/error.hpp"
#include "io/data/sentencepiece_model.hpp"
#include "io/data/utf8.hpp"
#include "io/hugging_face/normalization.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace gpas {
namespace {

using OrderedJson = nlohmann::ordered_json;

const std::string sentencepiece_space = "\u2581";  // which SentencePiece uses for a space
// Replaces the piece that is only a space mark in the vocabulary of a word model with byte pieces. SentencePiece
// encodes the space mark of an unknown word as bytes, so this piece must not match there. A noncharacter, which does
// not occur in text.
const std::string lone_space = "\uFDD0";
// The score of pieces that text is never encoded as (control, byte). Any other split has a higher score.
constexpr double never_score = -1000.0;

void substitute(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
}

// The position of each character of a well-formed text, and the end of the text.
std::vector<std::size_t> boundaries(std::string_view text) {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < text.size(); ++i)
        if ((std::uint8_t(text[i]) & 0xc0) != 0x80) all.push_back(i);
    all.push_back(text.size());
    return all;
}

class Writer {
public:
    Writer(const Tokenizer& tokenizer, const TokenIds& ids)
        : tokenizer_(tokenizer),
          ids_(ids),
          model_(parse_sentencepiece_model(tokenizer.model_bytes(), "the tokenizer")),
          bytes_(has(PieceKind::byte)) {
        check();
        // Training encodes a U+2581 of the text as bytes. Pieces are then written with spaces instead of U+2581, so
        // that no piece matches it.
        spell(tokenizer.cuts_at_newlines() && bytes_);
        if (byte_words()) std::ranges::replace(names_, space(), lone_space);
    }

    // Everything that the readers of the files must know of them.
    WrittenTokenizer result(std::int64_t max_length) const {
        return {.json = file().dump(2) + "\n",
                .config = config(max_length).dump(2) + "\n",
                .model = model_,
                .has_bytes = bytes_,
                .has_single_characters = single_characters(),
                .is_exact = exact_};
    }

private:
    OrderedJson file() const {
        OrderedJson out;
        out["version"] = "1.0";
        out["truncation"] = nullptr;
        out["padding"] = nullptr;
        out["added_tokens"] = added_tokens();
        out["normalizer"] = normalizer();
        out["pre_tokenizer"] = pre_tokenizer();
        out["post_processor"] = post_processor();
        out["decoder"] = decoder();
        out["model"] = model();
        return out;
    }
    OrderedJson config(std::int64_t max_length) const {
        const auto piece = [&](std::int64_t id) {
            return id >= 0 && id < tokenizer_.vocab_size() ? OrderedJson(tokenizer_.piece(id)) : OrderedJson();
        };
        OrderedJson out;
        out["tokenizer_class"] = "PreTrainedTokenizerFast";
        out["add_bos_token"] = ids_.add_bos;
        out["add_eos_token"] = false;
        out["add_prefix_space"] = model_.add_dummy_prefix;  // llama.cpp reads this
        out["bos_token"] = piece(ids_.bos);
        out["eos_token"] = piece(ids_.eos.empty() ? -1 : ids_.eos.front());
        out["unk_token"] = piece(tokenizer_.unk_id());
        out["pad_token"] = piece(ids_.pad);
        out["split_special_tokens"] = true;
        out["clean_up_tokenization_spaces"] = false;
        out["model_max_length"] = max_length;
        return out;
    }
    bool has(PieceKind kind) const { return has_piece(model_, kind); }
    // Whether there are pieces of one character other than the space mark. In a word model with byte pieces, such
    // pieces are also found inside unknown words.
    bool single_characters() const {
        for (std::size_t id = 0; id < names_.size(); ++id)
            if (!never(id) && names_[id] != lone_space && boundaries(names_[id]).size() == 2) return true;
        return false;
    }

    void check() const {
        if (model_.whitespace_as_suffix || !model_.escape_whitespaces)
            fail(ExitCode::usage,
                 "the tokenizer was trained with {}, which neither transformers nor llama.cpp can express; export "
                 "without a tokenizer (--tokenizer none)",
                 model_.whitespace_as_suffix ? "treat_whitespace_as_suffix" : "escape_whitespaces=false");
        for (const SentencePiece& piece : model_.pieces)
            if (valid_utf8_prefix(piece.text) != piece.text.size())
                fail(ExitCode::bad_file, "the tokenizer has a piece that is not UTF-8");
    }
    void spell(bool exact) {
        exact_ = exact;
        names_.clear();
        for (const SentencePiece& piece : model_.pieces) {
            std::string name = piece.text;
            if (exact && piece.kind == PieceKind::normal) substitute(name, sentencepiece_space, " ");
            names_.push_back(std::move(name));
        }
        if (exact && std::set<std::string>(names_.begin(), names_.end()).size() != names_.size()) spell(false);
    }
    std::string space() const { return exact_ ? " " : sentencepiece_space; }
    bool byte_words() const { return model_.model == PieceModel::word && bytes_; }
    // Matches the end of a word: before the next space mark, before a newline if training encodes line by line, or at
    // the end of the text.
    std::string word_end() const {
        return fmt::format("(?=[{}{}]|\\z)", space(), tokenizer_.cuts_at_newlines() ? "\n" : "");
    }

    OrderedJson added_tokens() const {
        OrderedJson out = OrderedJson::array();
        for (std::size_t id = 0; id < names_.size(); ++id) {
            const PieceKind kind = model_.pieces[id].kind;
            if (kind != PieceKind::unknown && kind != PieceKind::control && kind != PieceKind::user_defined) continue;
            out.push_back({{"id", id},
                           {"content", names_[id]},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", false},
                           {"special", kind != PieceKind::user_defined}});
        }
        return out;
    }
    OrderedJson normalizer() const {
        OrderedJson steps = OrderedJson::array();
        if (!model_.charsmap.empty()) steps = normalization_steps(model_.charsmap, model_.rules);
        if (model_.remove_extra_whitespaces) {
            steps.push_back(replacement_step("Regex", "\\A +|[ " + sentencepiece_space + "]+\\z", ""));
            steps.push_back(replacement_step("Regex", " {2,}", " "));
        }
        if (model_.add_dummy_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", " "}});
        if (!exact_) steps.push_back(replacement_step("String", " ", sentencepiece_space));
        if (byte_words()) steps.push_back(replacement_step("Regex", space() + word_end(), lone_space));
        if (steps.empty()) return nullptr;
        return {{"type", "Sequence"}, {"normalizers", steps}};
    }
    static OrderedJson split(const std::string& pattern, const char* behavior) {
        return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", behavior}, {"invert", false}};
    }
    OrderedJson pre_tokenizer() const {
        if (model_.model == PieceModel::word) {
            OrderedJson steps = OrderedJson::array();
            if (tokenizer_.cuts_at_newlines()) steps.push_back(split("\n", "Isolated"));
            steps.push_back(bytes_ ? split(fmt::format("[{}{}]", space(), lone_space), "MergedWithNext")
                                   : split(known_words(), "Isolated"));
            return {{"type", "Sequence"}, {"pretokenizers", steps}};
        }
        if (model_.model != PieceModel::unigram) return nullptr;
        const std::set<std::string> alone = isolated();
        if (alone.empty()) return nullptr;
        std::string pattern = "[";
        for (const std::string& character : alone) pattern += fmt::format("\\x{{{:X}}}", code_point(character));
        return split(pattern + "]", "Isolated");
    }
    // Matches all words of the model. The text between two known words becomes one <unk>, because SentencePiece joins
    // unknown words.
    std::string known_words() const {
        std::string pattern;
        for (std::size_t id = 0; id < names_.size(); ++id) {
            if (never(id)) continue;
            pattern += pattern.empty() ? "(?:" : "|";
            if (!names_[id].starts_with(space())) pattern += "\\A";
            for (const std::string& character : characters(names_[id]))
                pattern += fmt::format("\\x{{{:X}}}", code_point(character));
        }
        return pattern + ")" + word_end();
    }
    // The characters that become tokens of their own: newlines if training encodes line by line, and the characters of
    // control and byte pieces that no other piece contains. The latter split text that looks like a control or byte
    // piece, and do not affect other text.
    std::set<std::string> isolated() const {
        std::set<std::string> known, found;
        for (std::size_t id = 0; id < names_.size(); ++id)
            if (model_.pieces[id].kind == PieceKind::normal || model_.pieces[id].kind == PieceKind::user_defined)
                for (const std::string& character : characters(names_[id])) known.insert(character);
        for (std::size_t id = 0; id < names_.size(); ++id)
            if (never(id))
                for (const std::string& character : characters(names_[id]))
                    if (!known.contains(character)) found.insert(character);
        if (tokenizer_.cuts_at_newlines()) found.insert("\n");
        return found;
    }
    static std::vector<std::string> characters(const std::string& text) {
        std::vector<std::string> all;
        const std::vector<std::size_t> at = boundaries(text);
        for (std::size_t i = 0; i + 1 < at.size(); ++i) all.push_back(text.substr(at[i], at[i + 1] - at[i]));
        return all;
    }
    static std::uint32_t code_point(const std::string& character) {
        const auto first = std::uint8_t(character.front());
        std::uint32_t point = first < 0x80 ? first : first & (0x7fU >> character.size());
        for (std::size_t i = 1; i < character.size(); ++i) point = point << 6 | (std::uint8_t(character[i]) & 63);
        return point;
    }
    // Whether text is never encoded as this piece.
    bool never(std::size_t id) const {
        const PieceKind kind = model_.pieces[id].kind;
        return kind != PieceKind::normal && kind != PieceKind::user_defined;
    }

    OrderedJson post_processor() const {
        if (!ids_.add_bos || ids_.bos < 0 || ids_.bos >= tokenizer_.vocab_size()) return nullptr;
        const std::string bos = names_[std::size_t(ids_.bos)];
        const auto token = [&](int type) { return OrderedJson{{"SpecialToken", {{"id", bos}, {"type_id", type}}}}; };
        const auto text = [](const char* name, int type) {
            return OrderedJson{{"Sequence", {{"id", name}, {"type_id", type}}}};
        };
        return {
            {"type", "TemplateProcessing"},
            {"single", OrderedJson::array({token(0), text("A", 0)})},
            {"pair", OrderedJson::array({token(0), text("A", 0), token(1), text("B", 1)})},
            {"special_tokens",
             {{bos, {{"id", bos}, {"ids", OrderedJson::array({ids_.bos})}, {"tokens", OrderedJson::array({bos})}}}}}};
    }
    OrderedJson decoder() const {
        OrderedJson steps = OrderedJson::array();
        if (!exact_) steps.push_back(replacement_step("String", sentencepiece_space, " "));
        if (byte_words()) steps.push_back(replacement_step("String", lone_space, " "));
        if (bytes_) steps.push_back({{"type", "ByteFallback"}});
        steps.push_back({{"type", "Fuse"}});
        if (model_.add_dummy_prefix) steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
        return {{"type", "Sequence"}, {"decoders", steps}};
    }

    OrderedJson vocabulary() const {
        OrderedJson out = OrderedJson::object();
        for (std::size_t id = 0; id < names_.size(); ++id) out.emplace(names_[id], id);
        return out;
    }
    OrderedJson model() const {
        const std::string unknown = tokenizer_.piece(tokenizer_.unk_id());
        if (model_.model == PieceModel::unigram) return unigram();
        if (model_.model == PieceModel::word && !bytes_)
            return {{"type", "WordLevel"}, {"vocab", vocabulary()}, {"unk_token", unknown}};
        OrderedJson out;
        out["type"] = "BPE";
        out["dropout"] = nullptr;
        out["unk_token"] = unknown;
        out["continuing_subword_prefix"] = nullptr;
        out["end_of_word_suffix"] = nullptr;
        out["fuse_unk"] = true;
        out["byte_fallback"] = bytes_;
        out["ignore_merges"] = model_.model == PieceModel::word;
        out["vocab"] = vocabulary();
        out["merges"] = model_.model == PieceModel::bpe ? merges() : OrderedJson::array();
        return out;
    }
    OrderedJson unigram() const {
        OrderedJson vocab = OrderedJson::array();
        for (std::size_t id = 0; id < names_.size(); ++id)
            vocab.push_back({names_[id], never(id) ? never_score : double(model_.pieces[id].score)});
        return {{"type", "Unigram"}, {"unk_id", tokenizer_.unk_id()}, {"vocab", vocab}, {"byte_fallback", bytes_}};
    }
    // SentencePiece joins the two neighbours whose union has the highest score. So each division of a piece into two
    // pieces is a merge, and merges are in the order of the union's score.
    OrderedJson merges() const {
        std::map<std::string, std::size_t> normal;
        for (std::size_t id = 0; id < names_.size(); ++id)
            if (model_.pieces[id].kind == PieceKind::normal) normal.emplace(names_[id], id);
        std::vector<std::tuple<float, std::size_t, std::size_t, std::string, std::string>> all;
        for (const auto& [name, id] : normal) {
            const std::vector<std::size_t> at = boundaries(name);
            for (std::size_t i = 1; i + 1 < at.size(); ++i) {
                std::string left = name.substr(0, at[i]), right = name.substr(at[i]);
                const auto found = normal.find(left);
                if (found != normal.end() && normal.contains(right))
                    all.emplace_back(-model_.pieces[id].score, id, found->second, std::move(left), std::move(right));
            }
        }
        std::ranges::sort(all);
        OrderedJson out = OrderedJson::array();
        for (const auto& [score, id, left_id, left, right] : all) out.push_back(OrderedJson::array({left, right}));
        return out;
    }

    const Tokenizer& tokenizer_;
    const TokenIds& ids_;
    SentencePieceModel model_;
    bool bytes_ = false, exact_ = false;
    std::vector<std::string> names_;
};

}  // namespace

bool has_piece(const SentencePieceModel& model, PieceKind kind) {
    return std::ranges::any_of(model.pieces, [&](const SentencePiece& piece) { return piece.kind == kind; });
}

WrittenTokenizer write_tokenizer(const Tokenizer& tokenizer, const TokenIds& ids, std::int64_t max_length) {
    return Writer(tokenizer, ids).result(max_length);
}

}  // namespace gpas
