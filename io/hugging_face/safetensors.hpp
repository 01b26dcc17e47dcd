// Reads and writes safetensors files (github.com/huggingface/safetensors): the length of the header, a JSON header,
// then the tensors' data.
#pragma once

#include "base/descriptor.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// The types of weights that gpas reads and writes. A file may contain other types, which read() refuses by name.
enum class StoredDtype { fp32, bf16, fp16 };
const char* safetensors_name(StoredDtype dtype);  // "F32", "BF16", "F16"
std::int64_t bytes_of(StoredDtype dtype);

struct SafetensorsEntry {
    std::string name;
    std::string dtype;  // "BF16"
    std::vector<std::int64_t> shape;
    std::int64_t begin = 0, end = 0;  // positions in bytes, relative to the start of the data
};

// The constructor reads and checks the header: each name occurs once; offsets match dtype and shape, and cover the data
// without gaps and overlaps. Its memory and time are bounded for any content of the file. Error(bad_file): file,
// tensor, found, expected.
class SafetensorsFile {
public:
    explicit SafetensorsFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return path_; }
    const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // sorted by the position of their data
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const SafetensorsEntry* find(const std::string& name) const;  // nullptr if the file has no such tensor
    // All values, row-major, converted to fp32 without rounding. Error(bad_file) if the dtype is not a StoredDtype.
    std::vector<float> read(const SafetensorsEntry& entry) const;

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
    std::int64_t data_begin_ = 0;  // bytes
    std::vector<SafetensorsEntry> entries_;
    std::map<std::string, std::size_t> index_;
    std::map<std::string, std::string> metadata_;
};

// The contents of a file to write. Tensors must be written in the order of `tensors`.
struct SafetensorsPlan {
    struct Tensor {
        std::string name;
        std::vector<std::int64_t> shape;
    };
    StoredDtype dtype = StoredDtype::bf16;
    std::vector<Tensor> tensors;
    std::map<std::string, std::string> metadata;
};

// Writes under a temporary name until finish(), so the file either exists completely or does not exist.
class SafetensorsWriter {
public:
    // Error(environment).
    SafetensorsWriter(const std::filesystem::path& path, SafetensorsPlan plan);
    ~SafetensorsWriter();
    // Writes the next tensor of the plan, rounded to nearest even. Error(bad_file) if a finite value becomes infinite;
    // the message names the tensor and the value.
    void write(const std::vector<float>& values);
    void finish();  // syncs the file to disk and gives it its final name. Error(environment)

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

// Conversions between fp32 and the stored bit pattern; dtype: bf16 or fp16.
std::uint16_t to_stored(StoredDtype dtype, float value);  // rounds to nearest even
float from_stored(StoredDtype dtype, std::uint16_t bits);

}  // namespace gpas
