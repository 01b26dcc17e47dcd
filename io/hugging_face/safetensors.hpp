// Files of tensors as Hugging Face keeps them (github.com/huggingface/safetensors): a length, a JSON header, then data.
#pragma once

#include "base/descriptor.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gpas {

// Those that weights come in; files may hold others, which are named in messages.
enum class StoredDtype { fp32, bf16, fp16 };
const char* safetensors_name(StoredDtype dtype);  // "F32", "BF16", "F16"
std::int64_t bytes_of(StoredDtype dtype);

struct SafetensorsEntry {
    std::string name;
    std::string dtype;  // "BF16"
    std::vector<std::int64_t> shape;
    std::int64_t begin = 0, end = 0;  // bytes, from the start of the data
};

// The header, checked: names once, offsets that fit dtype and shape and cover the data without gap or overlap. Its
// size, and the time to read it, are bounded whatever is in the file. Error(bad_file): file, tensor, found, expected.
class SafetensorsFile {
public:
    explicit SafetensorsFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return path_; }
    const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // in the order of their data
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const SafetensorsEntry* find(const std::string& name) const;  // nullptr: not there
    // All values, exactly. Error(bad_file) for a dtype that is none of StoredDtype.
    std::vector<float> read(const SafetensorsEntry& entry) const;

private:
    std::filesystem::path path_;
    Descriptor descriptor_;
    std::int64_t data_begin_ = 0;  // bytes
    std::vector<SafetensorsEntry> entries_;
    std::map<std::string, std::size_t> index_;
    std::map<std::string, std::string> metadata_;
};

// What a file will hold. Tensors are then written in this order.
struct SafetensorsPlan {
    struct Tensor {
        std::string name;
        std::vector<std::int64_t> shape;
    };
    StoredDtype dtype = StoredDtype::bf16;
    std::vector<Tensor> tensors;
    std::map<std::string, std::string> metadata;
};

// Under a temporary name until finish(): there is a whole file or none.
class SafetensorsWriter {
public:
    // Error(environment).
    SafetensorsWriter(const std::filesystem::path& path, SafetensorsPlan plan);
    ~SafetensorsWriter();
    // The next tensor, rounded to nearest even. Error(bad_file) where a finite value becomes infinite, naming it.
    void write(const std::vector<float>& values);
    void finish();  // on the disk, under its name. Error(environment)

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

// Conversions between fp32 and what is stored, bit patterns.
std::uint16_t to_stored(StoredDtype dtype, float value);  // bf16 or fp16, to nearest even
float from_stored(StoredDtype dtype, std::uint16_t bits);

}  // namespace gpas
