// Writes a pair of Megatron token files in bounded memory. Ids go to <prefix>.bin.partial, lengths to
// <prefix>.idx.partial. finish() writes the header of .idx last and then renames both files. After an interruption at
// any point, no reader takes the partial files for a dataset, because the final names and the magic number are missing.
#pragma once

#include "base/hash.hpp"
#include "io/data/indexed_dataset.hpp"
#include "io/data/output_file.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace gpas {

class IndexedDatasetWriter {
public:
    // A point from which another process can continue to write.
    struct Mark {
        std::int64_t tokens = 0;       // in .bin, including those of the open document
        std::int64_t documents = 0;    // that have ended
        std::int64_t open_tokens = 0;  // of the document that has not ended
        std::uint64_t checksum = 0;    // XXH3 of the ids up to this point
    };

    IndexedDatasetWriter(std::string prefix, TokenDtype dtype);
    // Truncates the partial files to the mark. Error(bad_file) if they are shorter than the mark, or if their ids do
    // not match its checksum.
    IndexedDatasetWriter(std::string prefix, TokenDtype dtype, const Mark& mark);
    IndexedDatasetWriter(const IndexedDatasetWriter&) = delete;
    IndexedDatasetWriter& operator=(const IndexedDatasetWriter&) = delete;
    ~IndexedDatasetWriter();  // without finish(): removes the partial files, unless mark() was called

    void append(std::span<const std::int32_t> ids);  // to the open document
    void end_document();                             // a document is one sequence; empty documents are kept
    Mark mark();                                     // returns when everything before the mark is on disk
    // Completes the pair. No document may be open. Replaces an older pair of this name. The old .idx is removed first,
    // so that a reader never sees files of two pairs.
    void finish();

    std::int64_t documents() const { return documents_; }
    std::int64_t tokens() const { return tokens_; }
    std::int64_t open_tokens() const { return open_tokens_; }

private:
    void append_block(std::span<const std::int32_t> ids);
    void check_lengths();
    template <class Visit>
    void for_each_length(Visit&& visit);
    void write_index_tail();
    void write_header();

    std::string prefix_;
    TokenDtype dtype_;
    std::unique_ptr<OutputFile> data_;
    std::unique_ptr<OutputFile> index_;
    StreamingHash checksum_;
    std::int64_t tokens_ = 0;
    std::int64_t documents_ = 0;
    std::int64_t open_tokens_ = 0;
    bool finished_ = false;
    bool keep_partial_ = false;
};

}  // namespace gpas
