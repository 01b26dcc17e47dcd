#include "io/tokenizer/tiktoken_json.hpp"

#include "base/error.hpp"
#include "io/data/tokenizer_kind.hpp"
#include "io/tokenizer/bpe_model.hpp"
#include "io/tokenizer/byte_alphabet.hpp"
#include "io/tokenizer/known_tiktoken.hpp"
#include "io/tokenizer/regex.hpp"
#include "io/tokenizer/ruby_pattern.hpp"
#include "io/tokenizer/tiktoken_file.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <tuple>

namespace gpas {
namespace {

using Json = nlohmann::ordered_json;

std::string spelled(std::string_view bytes) {
    std::string characters;
    append_byte_characters(bytes, characters);
    return characters;
}

class JsonOfTiktoken {
public:
    JsonOfTiktoken(TiktokenFile file, const std::string& name, std::int32_t bos)
        : file_(std::move(file)), name_(name), bos_(bos) {
        std::ranges::sort(file_.tokens, {}, [](const auto& token) { return token.second; });
        for (const auto& [token, id] : file_.tokens) ids_.emplace(token, id);
    }

    std::string text() const {
        Json root;
        root["version"] = "1.0";
        root["truncation"] = nullptr;
        root["padding"] = nullptr;
        root["added_tokens"] = added_tokens();
        root["normalizer"] = file_.normalizer.empty() ? Json() : Json{{"type", "NFC"}};
        root["pre_tokenizer"] = pre_tokenizer();
        root["post_processor"] = post_processor();
        root["decoder"] = byte_level();
        root["model"] = model();
        return root.dump(1) + "\n";
    }

private:
    static Json byte_level() {
        return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
    }
    Json added_tokens() const {
        Json list = Json::array();
        for (const auto& [text, id] : file_.special)
            list.push_back({{"id", id},
                            {"content", text},
                            {"single_word", false},
                            {"lstrip", false},
                            {"rstrip", false},
                            {"normalized", false},
                            {"special", true}});
        return list;
    }
    // Text outside the matches is dropped, as tiktoken does.
    Json pre_tokenizer() const {
        const Json split{{"type", "Split"},
                         {"pattern", {{"Regex", ruby_pattern(file_.pattern)}}},
                         {"behavior", "Removed"},
                         {"invert", true}};
        return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level()})}};
    }
    Json post_processor() const {
        const auto found = std::ranges::find(file_.special, bos_, [](const auto& token) { return token.second; });
        if (found == file_.special.end()) return nullptr;
        const std::string& bos = found->first;
        const Json token{{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
        const auto sequence = [](const char* id) { return Json{{"Sequence", {{"id", id}, {"type_id", 0}}}}; };
        return {
            {"type", "TemplateProcessing"},
            {"single", Json::array({token, sequence("A")})},
            {"pair", Json::array({token, sequence("A"), token, sequence("B")})},
            {"special_tokens", {{bos, {{"id", bos}, {"ids", Json::array({bos_})}, {"tokens", Json::array({bos})}}}}}};
    }
    Json model() const {
        Json::object_t vocabulary;  // emplace_back: emplace() would compare each key with all others
        for (const auto& [token, id] : file_.tokens) vocabulary.emplace_back(spelled(token), id);
        std::set<std::string> names;
        for (const auto& [text, id] : file_.special) {
            std::string bytes;
            const bool taken = append_bytes_of_characters(text, bytes) && ids_.contains(bytes);
            if (taken || !names.insert(text).second)
                fail(ExitCode::usage,
                     "{}: its special token {} is spelled as another token, which tokenizer.json cannot express", name_,
                     Json(text).dump());
            vocabulary.emplace_back(text, id);
        }
        return {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", true},
                {"vocab", std::move(vocabulary)},
                {"merges", merges()}};
    }
    // tiktoken merges two tokens if their bytes together are a token, and tokens with low ids first.
    Json merges() const {
        Json list = Json::array();
        std::vector<std::tuple<std::int32_t, std::int32_t, std::size_t>> cuts;  // ids of both parts, and the cut
        for (const auto& [token, id] : file_.tokens) {
            cuts.clear();
            for (std::size_t cut = 1; cut < token.size(); ++cut) {
                const auto left = ids_.find(std::string_view(token).substr(0, cut));
                const auto right = ids_.find(std::string_view(token).substr(cut));
                if (left != ids_.end() && right != ids_.end()) cuts.emplace_back(left->second, right->second, cut);
            }
            std::ranges::sort(cuts);
            for (const auto& [left, right, cut] : cuts)
                list.push_back(Json::array({spelled(token.substr(0, cut)), spelled(token.substr(cut))}));
        }
        return list;
    }

    TiktokenFile file_;
    const std::string& name_;
    std::int32_t bos_;
    BpeModel::Vocabulary ids_;
};

}  // namespace

std::string tiktoken_as_json(const Tokenizer& tokenizer, std::int32_t bos) {
    const std::string& bytes = tokenizer.model_bytes();
    const std::string name = tokenizer_kind_name(tokenizer.kind());
    return JsonOfTiktoken(
               tokenizer.kind() == TokenizerKind::tekken ? read_tekken(bytes, name) : read_tiktoken(bytes, name), name,
               bos)
        .text();
}

std::string tiktoken_as_json(const std::string& bytes, const std::string& name, const std::string& pattern) {
    if (const TokenizerKind kind = recognise_tokenizer(bytes, name); kind != TokenizerKind::tiktoken)
        fail(ExitCode::usage,
             "{}: --pattern is for tiktoken files, but this file is of the kind {}: leave --pattern out", name,
             tokenizer_kind_name(kind));
    TiktokenFile file = read_tiktoken(bytes, name);
    const char* known = tiktoken_pattern(pattern);
    file.pattern = known != nullptr ? known : pattern;
    const Regex checked(file.pattern, RegexDialect::tiktoken, "--pattern");
    if (file.special.empty()) {
        std::set<std::int32_t> used;
        for (const auto& [token, id] : file.tokens) used.insert(id);
        std::int32_t free = 0;
        while (used.contains(free)) ++free;
        file.special.emplace_back("<|endoftext|>", free);
    }
    return JsonOfTiktoken(std::move(file), name, -1).text();
}

}  // namespace gpas
