#include "io/tokenizer/components.hpp"

#include "io/tokenizer/code_point.hpp"

#include <array>
#include <utility>

namespace gpas {
namespace {

constexpr const char* gpt2_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Classes as Rust has them: numeric characters, white space, characters of words, punctuation.
constexpr const char* digit_pattern = R"(\p{N})";
constexpr const char* space_pattern = R"(\p{White_Space})";
constexpr const char* word_pattern = R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]+|)"
                                     R"([^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}\p{White_Space}]+)";
constexpr const char* punctuation_pattern = R"([\p{Pc}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}!-/:-@\[-`{-~])";

constexpr std::array<std::pair<const char*, SplitBehavior>, 5> behaviors{{
    {"Removed", SplitBehavior::removed},
    {"Isolated", SplitBehavior::isolated},
    {"MergedWithPrevious", SplitBehavior::merged_with_previous},
    {"MergedWithNext", SplitBehavior::merged_with_next},
    {"Contiguous", SplitBehavior::contiguous},
}};

SplitBehavior read_behavior(const JsonNode& node) {
    for (const auto& [name, behavior] : behaviors)
        if (node.text() == name) return behavior;
    node.refuse("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

SplitByRegex split_by(const std::string& pattern, const JsonNode& node, SplitBehavior behavior, bool invert = false) {
    return {std::make_shared<Regex>(pattern, RegexDialect::hugging_face, node.place()), behavior, invert};
}

SplitByRegex read_split(const JsonNode& node) {
    const JsonNode pattern = node.at("pattern");
    const auto regex = pattern.find("Regex");
    const std::string text = regex ? regex->text() : Regex::escaped(pattern.at("String").text());
    return split_by(text, pattern, read_behavior(node.at("behavior")), node.flag("invert", false));
}

void read_byte_level(const JsonNode& node, std::vector<PreTokenizerStep>& steps) {
    if (node.flag("add_prefix_space", true)) steps.emplace_back(PrefixPieces{" "});
    if (node.flag("use_regex", true)) steps.emplace_back(split_by(gpt2_pattern, node, SplitBehavior::isolated));
    steps.emplace_back(MapBytes{});
}

void read_metaspace(const JsonNode& node, std::vector<PreTokenizerStep>& steps) {
    const std::string space = node.at("replacement").text();
    if (space.empty() || character_bytes(space[0]) != space.size()) node.at("replacement").refuse("one character");
    std::string scheme = "always";
    if (const auto given = node.find("prepend_scheme")) scheme = given->text();
    if (scheme != "always" && scheme != "first" && scheme != "never")
        node.at("prepend_scheme").refuse("always, first or never");
    if (!node.flag("add_prefix_space", true)) scheme = "never";
    steps.emplace_back(ReplaceSpaces{space});
    if (scheme != "never") steps.emplace_back(PrefixPieces{space, scheme == "first"});
    if (node.flag("split", true))
        steps.emplace_back(split_by(Regex::escaped(space), node, SplitBehavior::merged_with_next));
}

void read_punctuation(const JsonNode& node, std::vector<PreTokenizerStep>& steps) {
    const auto behavior = node.find("behavior");
    steps.emplace_back(
        split_by(punctuation_pattern, node, behavior ? read_behavior(*behavior) : SplitBehavior::isolated));
}

}  // namespace

void read_pre_tokenizer(const JsonNode& node, std::vector<PreTokenizerStep>& steps) {
    const std::string type = node.type();
    if (type == "Sequence")
        return read_sequence(node, "pretokenizers", [&](const JsonNode& part) { read_pre_tokenizer(part, steps); });
    if (type == "ByteLevel") {
        read_byte_level(node, steps);
    } else if (type == "Split") {
        steps.emplace_back(read_split(node));
    } else if (type == "Digits") {
        const bool single = node.flag("individual_digits", false);
        steps.emplace_back(split_by(digit_pattern, node, single ? SplitBehavior::isolated : SplitBehavior::contiguous));
    } else if (type == "Whitespace") {
        steps.emplace_back(split_by(word_pattern, node, SplitBehavior::removed, true));
    } else if (type == "WhitespaceSplit") {
        steps.emplace_back(split_by(space_pattern, node, SplitBehavior::removed));
    } else if (type == "Metaspace") {
        read_metaspace(node, steps);
    } else if (type == "Punctuation") {
        read_punctuation(node, steps);
    } else {
        refuse_component(node,
                         "ByteLevel, Split, Digits, Whitespace, WhitespaceSplit, Punctuation, Metaspace, Sequence");
    }
}

}  // namespace gpas
