#include "engine/convert/trained_tokens.hpp"

#include "io/data/indexed_dataset.hpp"

#include <algorithm>

namespace gpas {
namespace {

constexpr std::int64_t most_documents = 1000;

// True if the first (or last) token of each document is this id; false if no document has tokens.
bool documents_have(const std::string& prefix, std::int64_t id, bool first) {
    if (id < 0) return false;
    const IndexedDataset dataset(prefix);
    const std::int64_t count = std::min(most_documents, dataset.documents());
    bool found = false;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t document = i * dataset.documents() / count;
        const std::int64_t begin = dataset.document_begin(document), end = dataset.document_begin(document + 1);
        if (begin == end) continue;
        std::int32_t token = -1;
        dataset.read(first ? begin : end - 1, 1, &token);
        if (token != id) return false;
        found = true;
    }
    return found;
}

}  // namespace

bool documents_begin_with(const std::string& prefix, std::int64_t id) { return documents_have(prefix, id, true); }

TokenIds trained_token_ids(const Tokenizer& tokenizer, const std::string& prefix) {
    TokenIds ids;
    if (tokenizer.eos_id() >= 0 && (prefix.empty() || documents_have(prefix, tokenizer.eos_id(), false)))
        ids.eos.push_back(tokenizer.eos_id());
    if (!prefix.empty() && documents_begin_with(prefix, tokenizer.bos_id())) {
        ids.bos = tokenizer.bos_id();
        ids.add_bos = true;
    }
    return ids;
}

}  // namespace gpas
