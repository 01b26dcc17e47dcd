#include "io/hugging_face/safetensors.hpp"

#include "base/durable.hpp"
#include "base/error.hpp"
#include "io/hugging_face/safetensors_header.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gpas {
namespace {

static_assert(std::endian::native == std::endian::little, "the file format is little-endian");

constexpr std::int64_t length_bytes = 8;
constexpr std::int64_t most_header_bytes = 100'000'000;  // as in the reference implementation
constexpr std::int64_t chunk_elements = std::int64_t(1) << 20;

void read_at(int descriptor, std::int64_t at, void* data, std::int64_t bytes, const std::filesystem::path& path) {
    auto* to = static_cast<char*>(data);
    while (bytes > 0) {
        const ::ssize_t got = ::pread(descriptor, to, std::size_t(bytes), at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            fail(ExitCode::bad_file, "{}: reading {} bytes at {}: {}", path.string(), bytes, at,
                 got == 0 ? "the file ends before" : std::strerror(errno));
        at += got, to += got, bytes -= got;
    }
}

std::int64_t element_count(const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    return count;
}

StoredDtype stored_dtype(const SafetensorsEntry& entry, const std::filesystem::path& path) {
    for (const StoredDtype dtype : {StoredDtype::fp32, StoredDtype::bf16, StoredDtype::fp16})
        if (entry.dtype == safetensors_name(dtype)) return dtype;
    fail(ExitCode::bad_file,
         "{}: tensor {}: found dtype {}, expected F32, BF16 or F16 (quantized weights: convert them first)",
         path.string(), entry.name, entry.dtype);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat info{};
    if (!descriptor_ || ::fstat(descriptor_.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        const std::string why = !descriptor_ ? std::strerror(errno) : "not a file";
        fail(ExitCode::bad_file, "{}: cannot be opened: {}", path.string(), why);
    }
    const std::int64_t file_bytes = info.st_size;
    std::uint64_t header_bytes = 0;
    if (file_bytes < length_bytes)
        fail(ExitCode::bad_file, "{}: found {} bytes, expected a safetensors file", path.string(), file_bytes);
    read_at(descriptor_.get(), 0, &header_bytes, length_bytes, path);
    if (header_bytes > std::uint64_t(std::min(most_header_bytes, file_bytes - length_bytes)))
        fail(ExitCode::bad_file, "{}: not a safetensors file, or cut: a header of {} bytes in a file of {}",
             path.string(), header_bytes, file_bytes);
    std::string json(std::size_t(header_bytes), '\0');
    read_at(descriptor_.get(), length_bytes, json.data(), std::int64_t(header_bytes), path);
    data_begin_ = length_bytes + std::int64_t(header_bytes);
    SafetensorsHeader header = parse_safetensors_header(json, file_bytes - data_begin_, path.string());
    entries_ = std::move(header.entries);
    metadata_ = std::move(header.metadata);
    for (std::size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].name, i);
}

const SafetensorsEntry* SafetensorsFile::find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second];
}

std::vector<float> SafetensorsFile::read(const SafetensorsEntry& entry) const {
    const StoredDtype dtype = stored_dtype(entry, path_);
    const std::int64_t count = element_count(entry.shape);
    std::vector<float> values(std::size_t(count), 0.0F);
    const std::int64_t at = data_begin_ + entry.begin;
    if (dtype == StoredDtype::fp32) {
        read_at(descriptor_.get(), at, values.data(), count * bytes_of(dtype), path_);
        return values;
    }
    std::vector<std::uint16_t> bits(std::size_t(std::min(count, chunk_elements)));
    for (std::int64_t done = 0; done < count; done += chunk_elements) {
        const std::int64_t n = std::min(chunk_elements, count - done);
        read_at(descriptor_.get(), at + done * bytes_of(dtype), bits.data(), n * bytes_of(dtype), path_);
        std::transform(bits.begin(), bits.begin() + n, values.begin() + done,
                       [&](std::uint16_t value) { return from_stored(dtype, value); });
    }
    return values;
}

class SafetensorsWriter::Impl {
public:
    Impl(const std::filesystem::path& path, SafetensorsPlan plan)
        : target_(path),
          temporary_path_(path.parent_path() / ("." + path.filename().string() + ".tmp")),
          plan_(std::move(plan)) {
        std::error_code ignored;
        std::filesystem::remove(temporary_path_, ignored);  // file of a conversion that was killed
        file_.emplace(temporary_path_, PositionedFile::Open::create);
        temporary_ = TemporaryFile(temporary_path_);
        const std::string header = header_text();
        const std::uint64_t bytes = header.size();
        file_->write(0, &bytes, length_bytes, "the header");
        file_->write(length_bytes, header.data(), std::int64_t(bytes), "the header");
        at_ = length_bytes + std::int64_t(bytes);
    }

    void write(const std::vector<float>& values) {
        require(
            next_ < plan_.tensors.size() && std::int64_t(values.size()) == element_count(plan_.tensors[next_].shape),
            "safetensors: a tensor that was not announced");
        const std::string& name = plan_.tensors[next_++].name;
        const std::int64_t count = std::int64_t(values.size());
        if (plan_.dtype == StoredDtype::fp32) {
            file_->write(at_, values.data(), count * bytes_of(plan_.dtype), name);
            at_ += count * bytes_of(plan_.dtype);
            return;
        }
        std::vector<std::uint16_t> bits;
        for (std::int64_t done = 0; done < count; done += chunk_elements) {
            const std::int64_t n = std::min(chunk_elements, count - done);
            bits.clear();
            for (std::int64_t i = done; i < done + n; ++i) bits.push_back(rounded(values[std::size_t(i)], name));
            file_->write(at_, bits.data(), n * bytes_of(plan_.dtype), name);
            at_ += n * bytes_of(plan_.dtype);
        }
    }

    void finish() {
        require(next_ == plan_.tensors.size(), "safetensors: {} of {} tensors were written", next_,
                plan_.tensors.size());
        file_.reset();
        temporary_.rename_to(target_);
    }

private:
    std::string header_text() const {
        nlohmann::ordered_json header = nlohmann::ordered_json::object();
        if (!plan_.metadata.empty()) header["__metadata__"] = plan_.metadata;
        std::int64_t at = 0;
        for (const SafetensorsPlan::Tensor& tensor : plan_.tensors) {
            const std::int64_t bytes = element_count(tensor.shape) * bytes_of(plan_.dtype);
            header[tensor.name] = {
                {"dtype", safetensors_name(plan_.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, at + bytes}}};
            at += bytes;
        }
        std::string text = header.dump();
        text.append((8 - text.size() % 8) % 8, ' ');  // so that the data begin at a multiple of 8 bytes
        return text;
    }
    std::uint16_t rounded(float value, const std::string& name) const {
        const std::uint16_t bits = to_stored(plan_.dtype, value);
        if (std::isfinite(value) && !std::isfinite(from_stored(plan_.dtype, bits)))
            fail(ExitCode::bad_file, "{}: {} does not fit into {}; use bf16 or fp32", name, value,
                 safetensors_name(plan_.dtype));
        return bits;
    }

    std::filesystem::path target_, temporary_path_;
    SafetensorsPlan plan_;
    std::optional<PositionedFile> file_;
    TemporaryFile temporary_;
    std::int64_t at_ = 0;
    std::size_t next_ = 0;
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, SafetensorsPlan plan)
    : impl_(std::make_unique<Impl>(path, std::move(plan))) {}
SafetensorsWriter::~SafetensorsWriter() = default;
void SafetensorsWriter::write(const std::vector<float>& values) { impl_->write(values); }
void SafetensorsWriter::finish() { impl_->finish(); }

}  // namespace gpas
