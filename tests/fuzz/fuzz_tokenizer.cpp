// Any text as a tokenizer.json or tekken.json: opened, or refused with one line. An opened tokenizer encodes texts as
// ids of its vocabulary, the same ids each time, and decodes them.
#include "base/error.hpp"
#include "io/data/utf8.hpp"
#include "io/tokenizer/json_tokenizer.hpp"
#include "io/tokenizer/tiktoken_tokenizer.hpp"

#include <cstdlib>
#include <memory>
#include <string>

namespace {

constexpr const char* texts[] = {
    "", "The cat sat on 12345 mats.  \n\n x\t", "e\xcc\x81 \xc3\xa9 \xe4\xb8\xad\xf0\x9f\x99\x82 <s></s>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\xff\xe2\x82 a"};

void use(const gpas::Tokenizer& tokenizer) {
    for (const char* text : texts) {
        const auto ids = tokenizer.encode(text);
        if (ids != tokenizer.encode(text)) std::abort();
        for (const std::int32_t id : ids) {
            if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
            tokenizer.piece(id);
            tokenizer.piece_text(id);
        }
        const std::string decoded = tokenizer.decode(ids);
        if (gpas::valid_utf8_prefix(decoded) != decoded.size()) std::abort();
    }
    for (const std::int32_t id : {tokenizer.unk_id(), tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()})
        if (id < -1 || id >= tokenizer.vocab_size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string json(reinterpret_cast<const char*>(data), size);
    try {
        if (json.find("token_bytes") != std::string::npos && json.starts_with('{')) {
            use(gpas::TiktokenTokenizer(json, "fuzz"));
        } else {
            use(gpas::JsonTokenizer(json, "fuzz"));
        }
    } catch (const gpas::Error& error) {
        if (error.code() != gpas::ExitCode::bad_file || std::string(error.what()).find('\n') != std::string::npos)
            std::abort();
    }
    return 0;
}
