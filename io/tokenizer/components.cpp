#include "io/tokenizer/components.hpp"

#include "base/error.hpp"

#include <string>

namespace gpas {
namespace {

constexpr std::int64_t largest_id = 1 << 24;
constexpr std::int64_t largest_strip = 1 << 16;

NormalForm normal_form(const std::string& type) {
    if (type == "NFC") return NormalForm::nfc;
    if (type == "NFD") return NormalForm::nfd;
    if (type == "NFKC") return NormalForm::nfkc;
    return NormalForm::nfkd;
}

StripCharacter read_strip(const JsonNode& node) {
    StripCharacter strip{node.at("content").text(), std::size_t(node.at("start").integer(largest_strip)),
                         std::size_t(node.at("stop").integer(largest_strip))};
    if (strip.character.empty()) node.at("content").refuse("one character");
    return strip;
}

DecodeMetaspace read_metaspace_decoder(const JsonNode& node) {
    DecodeMetaspace step{node.at("replacement").text(), node.flag("add_prefix_space", true)};
    if (step.space.empty()) node.at("replacement").refuse("one character");
    if (const auto scheme = node.find("prepend_scheme"); scheme && scheme->text() == "never") step.drop_first = false;
    return step;
}

// A template: a list of {"SpecialToken": {"id": NAME}} and {"Sequence": ...}. The last token before the text and the
// first token after the text count.
void read_template(const JsonNode& node, TextEnds& ends) {
    const JsonNode parts = node.at("single");
    bool after = false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto special = parts.element(i).find("SpecialToken");
        if (!special) {
            after = true;
            continue;
        }
        const std::string name = special->at("id").text();
        const JsonNode ids = node.at("special_tokens").at(name.c_str()).at("ids");
        if (ids.size() != 1) ids.refuse("one id");
        std::int32_t& end = after ? ends.eos : ends.bos;
        if (!after || end < 0) end = std::int32_t(ids.element(0).integer(largest_id));
    }
}

}  // namespace

void refuse_component(const JsonNode& node, const char* known) {
    fail(ExitCode::bad_file, "{}: {} is not supported; gpas supports: {}", node.place(), plain_name(node.type()),
         known);
}

ReplaceText read_replace(const JsonNode& node) {
    ReplaceText step;
    step.to = node.at("content").text();
    const JsonNode pattern = node.at("pattern");
    if (const auto regex = pattern.find("Regex")) {
        step.pattern = std::make_shared<Regex>(regex->text(), RegexDialect::hugging_face, regex->place());
        return step;
    }
    step.from = pattern.at("String").text();
    if (step.from.empty()) pattern.refuse("a pattern that is not empty");
    return step;
}

void read_normalizer(const JsonNode& node, std::vector<NormalizerStep>& steps) {
    const std::string type = node.type();
    if (type == "Sequence")
        return read_sequence(node, "normalizers", [&](const JsonNode& part) { read_normalizer(part, steps); });
    if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
        steps.emplace_back(normal_form(type));
    } else if (type == "Prepend") {
        steps.emplace_back(PrependText{node.at("prepend").text()});
    } else if (type == "Replace") {
        steps.emplace_back(read_replace(node));
    } else if (type == "Strip") {
        steps.emplace_back(StripSpace{node.flag("strip_left", true), node.flag("strip_right", true)});
    } else if (type == "Lowercase") {
        steps.emplace_back(Lowercase{});
    } else {
        refuse_component(node, "NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Lowercase, Sequence");
    }
}

void read_decoder(const JsonNode& node, std::vector<DecoderStep>& steps) {
    const std::string type = node.type();
    if (type == "Sequence")
        return read_sequence(node, "decoders", [&](const JsonNode& part) { read_decoder(part, steps); });
    if (type == "ByteLevel") {
        steps.emplace_back(DecodeByteLevel{});
    } else if (type == "ByteFallback") {
        steps.emplace_back(DecodeByteFallback{});
    } else if (type == "Metaspace") {
        steps.emplace_back(read_metaspace_decoder(node));
    } else if (type == "Replace") {
        steps.emplace_back(read_replace(node));
    } else if (type == "Fuse") {
        steps.emplace_back(FuseTokens{});
    } else if (type == "Strip") {
        steps.emplace_back(read_strip(node));
    } else {
        refuse_component(node, "ByteLevel, ByteFallback, Metaspace, Replace, Fuse, Strip, Sequence");
    }
}

void read_post_processor(const JsonNode& node, TextEnds& ends) {
    const std::string type = node.type();
    if (type == "Sequence")
        return read_sequence(node, "processors", [&](const JsonNode& part) { read_post_processor(part, ends); });
    if (type == "TemplateProcessing") return read_template(node, ends);
    if (type != "ByteLevel") refuse_component(node, "TemplateProcessing, ByteLevel, Sequence");
}

}  // namespace gpas
