// The token that ends documents.
#pragma once

#include "io/data/indexed_dataset.hpp"

#include <cstdint>
#include <optional>

namespace gpas {

// EOS of the file: the token that is the last token of every document and occurs nowhere else in a document. `gpas
// prepare` writes such a token, as Megatron-LM does with --append-eod. nullopt if the file has no such token, or has
// fewer than two non-empty documents. Examines 256 documents spread evenly over the file, and the first 4096 tokens of
// each.
std::optional<std::int32_t> end_of_document_token(const IndexedDataset& file);

}  // namespace gpas
