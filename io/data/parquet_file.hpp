// Reads columns of text from Parquet files, by Apache Arrow. If gpas was built without Arrow (-Dparquet), it reads none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gpas {

bool parquet_is_supported();             // built with Apache Arrow
bool is_parquet(std::string_view head);  // by the first bytes of a file

// A row's text is bytes [begin, end) of a buffer.
struct ParquetRow {
    std::size_t begin = 0, end = 0;
    bool missing = false;  // a text is null
};

// Immutable after construction; all members are thread-safe.
class ParquetFile {
public:
    // `keys`: the columns of the text, separated by commas; a.b is the field b of the column a. Error(bad_file), one
    // line, if the file is damaged, or a key is not the name of a column with one text per row. Error(usage) if
    // Parquet is not supported.
    ParquetFile(const std::string& path, const std::string& keys);
    ~ParquetFile();
    ParquetFile(const ParquetFile&) = delete;
    ParquetFile& operator=(const ParquetFile&) = delete;

    std::int64_t row_groups() const;
    std::int64_t rows(std::int64_t group) const;
    // Appends the texts of a row group to `text`, and one entry per row to `rows`. The texts of several columns are
    // joined with a newline. Error(bad_file) if the data are damaged.
    void read(std::int64_t group, std::string& text, std::vector<ParquetRow>& rows) const;

private:
    struct State;
    std::unique_ptr<const State> state_;
};

}  // namespace gpas
