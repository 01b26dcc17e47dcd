#include "io/data/parquet_file.hpp"

#include "base/error.hpp"

#include <parquet/column_reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

#include <array>
#include <exception>
#include <new>
#include <utility>

namespace gpas {
namespace {

constexpr std::int64_t values_per_batch = 1024;
constexpr std::int64_t buffer_bytes = 1 << 20;  // of the stored data of a column

// Calls body(). Errors of Arrow become one line about the file.
template <class Body>
auto with_errors_of(const std::string& path, const Body& body) {
    try {
        return body();
    } catch (const Error&) {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& error) {
        std::string reason = error.what();
        for (char& c : reason)
            if (static_cast<unsigned char>(c) < 0x20) c = ' ';
        fail(ExitCode::bad_file, "{}: is a damaged Parquet file: {}: copy or download it again", path, reason);
    }
}

parquet::ReaderProperties reader_properties() {
    parquet::ReaderProperties properties;
    properties.enable_buffered_stream();
    properties.set_buffer_size(buffer_bytes);
    properties.set_page_checksum_verification(true);
    return properties;
}

bool holds_text(const parquet::ColumnDescriptor& column) {
    const auto& type = column.logical_type();
    return column.physical_type() == parquet::Type::BYTE_ARRAY && column.max_repetition_level() == 0 &&
           (type == nullptr || type->is_string() || type->is_none() || type->is_JSON() || type->is_enum());
}

int column_of(const parquet::SchemaDescriptor& schema, const std::string& key, const std::string& path) {
    std::string known;
    for (int i = 0; i < schema.num_columns(); ++i) {
        const std::string name = schema.Column(i)->path()->ToDotString();
        if (name == key) {
            if (holds_text(*schema.Column(i))) return i;
            fail(ExitCode::bad_file, "{}: the column \"{}\" does not hold one text per row: name another --text-key",
                 path, key);
        }
        if (holds_text(*schema.Column(i))) known += (known.empty() ? "\"" : ", \"") + name + "\"";
    }
    fail(ExitCode::bad_file, "{}: has no column \"{}\" (its columns of texts are {}): name the column with --text-key",
         path, key, known.empty() ? "none" : known);
}

// The values of a column of a row group, one after another.
class TextColumn {
public:
    TextColumn(std::shared_ptr<parquet::ColumnReader> reader, std::int16_t present)
        : reader_(std::static_pointer_cast<parquet::ByteArrayReader>(std::move(reader))), present_(present) {}

    // Appends the next value; false if it is null.
    bool append_next(std::string& text) {
        if (row_ == rows_) fill();
        const bool has_value = present_ == 0 || levels_[std::size_t(row_)] == present_;
        ++row_;
        if (!has_value) return false;
        const parquet::ByteArray& value = values_[std::size_t(value_++)];
        text.append(reinterpret_cast<const char*>(value.ptr), value.len);
        return true;
    }

private:
    void fill() {
        std::int64_t values = 0;
        rows_ = reader_->ReadBatch(values_per_batch, levels_.data(), nullptr, values_.data(), &values);
        if (rows_ == 0) throw parquet::ParquetException("a column has fewer values than the file has rows");
        row_ = value_ = 0;
    }

    std::shared_ptr<parquet::ByteArrayReader> reader_;
    std::int16_t present_;                                       // the definition level of a value that is not null
    std::array<parquet::ByteArray, values_per_batch> values_{};  // without nulls; valid until the next ReadBatch
    std::array<std::int16_t, values_per_batch> levels_{};
    std::int64_t row_ = 0, rows_ = 0, value_ = 0;
};

}  // namespace

struct ParquetFile::State {
    std::string path;
    std::shared_ptr<parquet::FileMetaData> metadata;
    std::vector<int> columns;
};

bool parquet_is_supported() { return true; }
bool is_parquet(std::string_view head) { return head.starts_with("PAR1"); }

ParquetFile::ParquetFile(const std::string& path, const std::string& keys) {
    auto state = std::make_unique<State>();
    state->path = path;
    with_errors_of(path, [&] {
        state->metadata = parquet::ParquetFileReader::OpenFile(path, false, reader_properties())->metadata();
        for (std::size_t begin = 0; begin <= keys.size();) {
            const std::size_t end = std::min(keys.find(',', begin), keys.size());
            state->columns.push_back(column_of(*state->metadata->schema(), keys.substr(begin, end - begin), path));
            begin = end + 1;
        }
    });
    state_ = std::move(state);
}

ParquetFile::~ParquetFile() = default;

std::int64_t ParquetFile::row_groups() const { return state_->metadata->num_row_groups(); }

std::int64_t ParquetFile::rows(std::int64_t group) const {
    return with_errors_of(state_->path, [&] { return state_->metadata->RowGroup(int(group))->num_rows(); });
}

void ParquetFile::read(std::int64_t group, std::string& text, std::vector<ParquetRow>& rows) const {
    const std::int64_t count = this->rows(group);
    with_errors_of(state_->path, [&] {
        // A reader of its own: readers are not thread-safe.
        const auto file =
            parquet::ParquetFileReader::OpenFile(state_->path, false, reader_properties(), state_->metadata);
        const auto row_group = file->RowGroup(int(group));
        std::vector<std::unique_ptr<TextColumn>> columns;
        for (const int column : state_->columns)
            columns.push_back(std::make_unique<TextColumn>(
                row_group->Column(column), state_->metadata->schema()->Column(column)->max_definition_level()));
        for (std::int64_t i = 0; i < count; ++i) {
            ParquetRow row{text.size(), 0, false};
            for (std::size_t c = 0; c < columns.size(); ++c) {
                if (c > 0) text += '\n';
                if (!columns[c]->append_next(text)) row.missing = true;
            }
            if (row.missing) text.resize(row.begin);
            row.end = text.size();
            rows.push_back(row);
        }
    });
}

}  // namespace gpas
