#include "io/tokenizer/bpe_file.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace gpas {
namespace {

void check_settings(const JsonNode& model) {
    // Old files have no type; those of BPE have merges.
    const auto type = model.find("type");
    const std::string name = type ? type->text() : model.find("merges") ? "BPE" : "a model without a type";
    if (name != "BPE")
        fail(ExitCode::bad_file, "{}: {} is not supported; gpas supports BPE", model.place(), plain_name(name));
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        const auto found = model.find(key);
        if (found && !found->text().empty()) found->refuse("none: gpas does not support it");
    }
    const auto dropout = model.find("dropout");
    if (dropout && dropout->value() != 0) dropout->refuse("none: gpas does not support it");
}

std::pair<std::string, std::string> read_pair(const JsonNode& merge) {
    if (merge.value().is_array()) {
        if (merge.size() != 2) merge.refuse("two tokens");
        return {merge.element(0).text(), merge.element(1).text()};
    }
    const std::string text = merge.text();
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
        merge.refuse("two tokens with a space between them");
    return {text.substr(0, space), text.substr(space + 1)};
}

MergeTable read_merges(const JsonNode& list, const BpeModel::Vocabulary& vocabulary) {
    MergeTable table(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
        const JsonNode merge = list.element(i);
        if (merge.value().is_string() && merge.text().starts_with("#version")) continue;
        const auto [left, right] = read_pair(merge);
        const auto id_of = [&](const std::string& token) {
            const auto found = vocabulary.find(token);
            if (found == vocabulary.end())
                merge.refuse(fmt::format("tokens of the vocabulary; {} is not", shown(token)));
            return found->second;
        };
        const std::int32_t left_id = id_of(left), right_id = id_of(right);
        table.add(left_id, right_id, {std::int32_t(i), id_of(left + right)});
    }
    return table;
}

AddedToken read_added_token(const JsonNode& node) {
    AddedToken token;
    token.text = node.at("content").text();
    if (token.text.empty()) node.at("content").refuse("a text that is not empty");
    token.id = std::int32_t(node.at("id").integer(most_tokens - 1));
    token.single_word = node.flag("single_word", false);
    token.left_strip = node.flag("lstrip", false);
    token.right_strip = node.flag("rstrip", false);
    token.special = node.flag("special", false);
    token.normalized = node.flag("normalized", !token.special);
    return token;
}

BpeModel::Vocabulary read_vocabulary(const JsonNode& node) {
    if (!node.value().is_object() || node.value().empty()) node.refuse("an object of tokens and ids");
    BpeModel::Vocabulary vocabulary;
    vocabulary.reserve(node.value().size());
    for (const auto& [token, id] : node.value().items()) {
        const JsonNode entry(id, fmt::format("{}: id of {}", node.place(), shown(token)));
        vocabulary.emplace(token, std::int32_t(entry.integer(most_tokens - 1)));
    }
    return vocabulary;
}

std::vector<std::string> pieces_of(const BpeModel::Vocabulary& vocabulary, const JsonNode& node) {
    std::vector<std::string> pieces;
    std::vector<bool> used;
    for (const auto& [token, id] : vocabulary) {
        const auto at = std::size_t(id);
        if (at >= pieces.size()) {
            pieces.resize(at + 1);
            used.resize(at + 1);
        }
        if (used[at])
            fail(ExitCode::bad_file, "{}: {} and {} have the same id, {}", node.place(), shown(pieces[at]),
                 shown(token), id);
        used[at] = true;
        pieces[at] = token;
    }
    return pieces;
}

}  // namespace

BpeFile::BpeFile(const JsonNode& model)
    : vocabulary((check_settings(model), read_vocabulary(model.at("vocab")))),
      pieces(pieces_of(vocabulary, model.at("vocab"))),
      merges(read_merges(model.at("merges"), vocabulary)) {
    options.ignore_merges = model.flag("ignore_merges", false);
    options.byte_fallback = model.flag("byte_fallback", false);
    options.fuse_unk = model.flag("fuse_unk", false);
    if (const auto unk = model.find("unk_token")) {
        const auto found = vocabulary.find(unk->text());
        if (found == vocabulary.end()) unk->refuse("a token of the vocabulary");
        options.unk_id = found->second;
    }
}

std::vector<AddedToken> read_added_tokens(const JsonNode& list, const BpeModel::Vocabulary& vocabulary,
                                          std::vector<std::string>& pieces) {
    std::vector<AddedToken> tokens;
    std::unordered_map<std::string, std::int32_t> known;
    std::int64_t next = std::int64_t(vocabulary.size());  // the id of a token that the vocabulary does not contain
    for (std::size_t i = 0; i < list.size(); ++i) {
        const JsonNode node = list.element(i);
        AddedToken token = read_added_token(node);
        const auto found = vocabulary.find(token.text);
        const auto added = known.find(token.text);
        const std::int64_t expected = found != vocabulary.end() ? found->second
                                      : added != known.end()    ? added->second
                                                                : next;
        if (token.id != expected)
            node.at("id").refuse(fmt::format("{}, the id that tokenizers gives {}", expected, shown(token.text)));
        next = std::max(next, expected + 1);
        known[token.text] = token.id;
        if (std::size_t(token.id) >= pieces.size()) pieces.resize(std::size_t(token.id) + 1);
        pieces[std::size_t(token.id)] = token.text;
        tokens.push_back(std::move(token));
    }
    return tokens;
}

}  // namespace gpas
