#include "io/tokenizer/known_tiktoken.hpp"

#include "base/hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace gpas {
namespace {

constexpr const char* gpt2_words = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* cl100k_words =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++\z|)"
    R"(\s*[\r\n]|\s+(?!\S)|\s)";
constexpr const char* o200k_words =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* llama3_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
    R"(\s+(?!\S)|\s+)";
constexpr const char* qwen_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* qwen36_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

using Names = std::vector<std::string>;

void append(Names& names, std::initializer_list<const char*> more) {
    names.insert(names.end(), more.begin(), more.end());
}

// Names with numbers from `begin` up to, but not including, `end`.
void append_numbered(Names& names, const char* format, int begin, int end) {
    for (int i = begin; i < end; ++i) names.push_back(fmt::format(fmt::runtime(format), i));
}

Names cl100k_special() {
    Names names{"", "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"};  // from id 100256
    names.resize(20);
    names.push_back("<|endofprompt|>");
    return names;
}

Names llama3_special() {
    Names names{"<|begin_of_text|>",
                "<|end_of_text|>",
                "<|reserved_special_token_0|>",
                "<|reserved_special_token_1|>",
                "<|finetune_right_pad_id|>",
                "<|step_id|>",
                "<|start_header_id|>",
                "<|end_header_id|>",
                "<|eom_id|>",
                "<|eot_id|>",
                "<|python_tag|>",
                "<|image|>"};
    append_numbered(names, "<|reserved_special_token_{}|>", 2, 246);
    return names;
}

Names llama4_special() {
    Names names{"<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"};
    append(names, {"<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"});
    append_numbered(names, "<|text_post_train_reserved_special_token_{}|>", 0, 6);
    append(names, {"<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>"});
    append_numbered(names, "<|text_post_train_reserved_special_token_{}|>", 8, 69);
    append(names, {"<|image_start|>", "<|image_end|>"});
    append_numbered(names, "<|vision_reserved_special_token_{}|>", 0, 2);
    append(names, {"<|tile_x_separator|>", "<|tile_y_separator|>"});
    append_numbered(names, "<|vision_reserved_special_token_{}|>", 2, 6);
    append(names, {"<|image|>", "<|vision_reserved_special_token_6|>", "<|patch|>"});
    append_numbered(names, "<|vision_reserved_special_token_{}|>", 7, 1048);
    append_numbered(names, "<|reasoning_reserved_special_token_{}|>", 0, 8);
    append(names, {"<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"});
    append_numbered(names, "<|reserved_special_token_{}|>", 0, 2048 - int(names.size()));
    return names;
}

Names qwen_special() {
    Names names{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    append_numbered(names, "<|extra_{}|>", 0, 205);
    return names;
}

Names qwen36_special() {
    return {"<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|object_ref_start|>",
            "<|object_ref_end|>",
            "<|box_start|>",
            "<|box_end|>",
            "<|quad_start|>",
            "<|quad_end|>",
            "<|vision_start|>",
            "<|vision_end|>",
            "<|vision_pad|>",
            "<|image_pad|>",
            "<|video_pad|>",
            "<tool_call>",
            "</tool_call>",
            "<|fim_prefix|>",
            "<|fim_middle|>",
            "<|fim_suffix|>",
            "<|fim_pad|>",
            "<|repo_name|>",
            "<|file_sep|>",
            "<tool_response>",
            "</tool_response>",
            "<think>",
            "</think>",
            "<|audio_start|>",
            "<|audio_end|>",
            "<tts_pad>",
            "<tts_text_bos>",
            "<tts_text_eod>",
            "<tts_text_bos_single>",
            "<|audio_pad|>"};
}

struct Known {
    std::uint64_t fingerprint;  // XXH3 of the file
    const char* pattern;
    Names (*special)();  // in the order of their ids, which follow those of the file; an empty name: an unused id
    bool nfc;            // the model's own tokenizer normalizes texts to NFC
};

const std::array<Known, 5> known_files{{
    {0xaa5d7bf38900641a, cl100k_words, cl100k_special, false},
    {0xe7339703bb9e9d7b, llama3_words, llama3_special, false},
    {0xd2fc82dae9636e64, o200k_words, llama4_special, false},
    {0x9f288efcb5368aab, qwen_words, qwen_special, true},
    {0x2a38d0d36c85cbae, qwen36_words, qwen36_special, true},
}};

struct NamedPattern {
    std::string_view name;
    const char* pattern;
};

constexpr std::array<NamedPattern, 7> named_patterns{{{"gpt2", gpt2_words},
                                                      {"cl100k_base", cl100k_words},
                                                      {"o200k_base", o200k_words},
                                                      {"llama3", llama3_words},
                                                      {"llama4", o200k_words},
                                                      {"qwen", qwen_words},
                                                      {"qwen3.6", qwen36_words}}};

}  // namespace

void complete_known_tiktoken(std::string_view bytes, TiktokenFile& file) {
    const std::uint64_t fingerprint = hash_of(bytes);
    for (const Known& known : known_files) {
        if (known.fingerprint != fingerprint) continue;
        file.pattern = known.pattern;
        if (known.nfc) file.normalizer.emplace_back(NormalForm::nfc);
        auto id = std::int32_t(file.tokens.size());
        for (const std::string& name : known.special()) {
            if (!name.empty()) file.special.emplace_back(name, id);
            ++id;
        }
    }
}

const char* tiktoken_pattern(std::string_view name) {
    for (const NamedPattern& named : named_patterns)
        if (named.name == name) return named.pattern;
    return nullptr;
}

}  // namespace gpas
