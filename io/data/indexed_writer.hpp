// Writes a Megatron token file pair in bounded memory: ids stream into <prefix>.bin.partial, lengths into
// <prefix>.idx.partial, whose header comes last. finish() renames both files. After
// an interruption at any point, no reader takes the partial files for a dataset: the final names and the magic are
// missing.
#pragma once

#include "io/data/indexed_dataset.hpp"
#include "io/data/output_file.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct XXH3_state_s;

namespace gpas {

class IndexedDatasetWriter {
public:
    // A point from which another process can continue to write.
    struct Mark {
        std::int64_t tokens = 0;     // in .bin, with those of the open document
        std::int64_t documents = 0;  // ended ones
        std::int64_t open_tokens = 0;
        std::uint64_t checksum = 0;  // xxh3 of the ids up to here
    };

    IndexedDatasetWriter(std::string prefix, TokenDtype dtype);
    // Cuts the partial files back to the mark. Fails (bad_file) when they hold less, or other ids, than the mark says.
    IndexedDatasetWriter(std::string prefix, TokenDtype dtype, const Mark& mark);
    IndexedDatasetWriter(const IndexedDatasetWriter&) = delete;
    IndexedDatasetWriter& operator=(const IndexedDatasetWriter&) = delete;
    ~IndexedDatasetWriter();  // unfinished: removes the partial files, unless mark() was called

    void append(std::span<const std::int32_t> ids);  // to the open document
    void end_document();                             // each document is one sequence; an empty one is kept
    Mark mark();                                     // all before it is on the disk when this returns
    // Ends the pair; no document may be open. An old pair of that name is replaced, its .idx first, so that no moment
    // shows a mixed pair.
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
    std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> checksum_;
    std::int64_t tokens_ = 0;
    std::int64_t documents_ = 0;
    std::int64_t open_tokens_ = 0;
    bool finished_ = false;
    bool keep_partial_ = false;
};

}  // namespace gpas
