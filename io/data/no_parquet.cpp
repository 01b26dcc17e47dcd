#include "base/error.hpp"
#include "io/data/parquet_file.hpp"

namespace gpas {

struct ParquetFile::State {};

bool parquet_is_supported() { return false; }
bool is_parquet(std::string_view head) { return head.starts_with("PAR1"); }

ParquetFile::ParquetFile(const std::string& path, const std::string&) {
    fail(ExitCode::usage, "{}: this gpas was built without Apache Arrow, which reads Parquet files", path);
}
ParquetFile::~ParquetFile() = default;
std::int64_t ParquetFile::row_groups() const { return 0; }
std::int64_t ParquetFile::rows(std::int64_t) const { return 0; }
void ParquetFile::read(std::int64_t, std::string&, std::vector<ParquetRow>&) const {}

}  // namespace gpas
