// The contents of a checkpoint except the tensors' data: header attributes, table of contents, block checksums, and the
// digest of these three, which is the completion marker. Internal to io/checkpoint.
#pragma once

#include "base/error.hpp"
#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/hdf5_file.hpp"

namespace gpas {

inline constexpr const char* state_groups[] = {"weights", "adam_m", "adam_v"};
inline constexpr const char* format_attribute = "format";
inline constexpr const char* format_name = "gpas checkpoint";
inline constexpr const char* version_attribute = "format_version";
inline constexpr const char* marker_attribute = "complete";
inline constexpr const char* sums_dataset = "checksums/blocks";

// Calls visit(attribute name, member) for each member of the header. Writing, reading, the digest and `gpas inspect`
// all use this list.
template <class Header, class Visit>
void for_each_field(Header& header, Visit&& visit) {
    visit("software", header.software);
    visit("run_name", header.run_name);
    visit("step", header.step);
    visit("consumed_samples", header.consumed_samples);
    visit("consumed_tokens", header.consumed_tokens);
    visit("optimizer_steps", header.optimizer_steps);
    visit("seed", header.seed);
    visit("config", header.config);
    visit("layout", header.layout);
    visit("dataset_fingerprint", header.dataset_fingerprint);
    visit("tokenizer_fingerprint", header.tokenizer_fingerprint);
    visit("rope_convention", header.rope_convention);
}

struct Contents {
    h5::Handle file;
    CheckpointHeader header;
    std::vector<TensorInfo> tensors;        // sorted by name
    std::vector<std::int64_t> first_block;  // of each tensor: index in block_sums; then the total number of blocks
    std::vector<std::uint64_t> block_sums;  // of all tensors, in the order of `tensors`
};

// The index of each tensor's first block among the blocks of all tensors; the last entry is the total number of blocks.
std::vector<std::int64_t> first_blocks(std::span<const TensorInfo> tensors);

// XXH3-64 of header, names, shapes and block checksums; docs/formats.md defines the bytes.
std::uint64_t digest(const CheckpointHeader& header, std::span<const TensorInfo> tensors,
                     std::span<const std::uint64_t> block_sums);

void write_header(hid_t file, const CheckpointHeader& header, const std::filesystem::path& path);
// The message about a file that disappeared after reading began.
std::string removed_message(const std::filesystem::path& path);

// Runs body(), which reads the file. If body() fails and the file no longer exists, throws Error(bad_file) with
// removed_message() instead of body's exception.
template <class Body>
auto while_there(const std::filesystem::path& path, Body&& body) {
    try {
        return body();
    } catch (const std::exception&) {
        std::error_code ignored;
        if (std::filesystem::exists(path, ignored)) throw;
        throw Error(ExitCode::bad_file, removed_message(path));
    }
}

// Opens the file and checks everything except the tensors' data. Error(bad_file).
Contents open_contents(const std::filesystem::path& path);
// The data of tensors[t], with verified checksums. Error(bad_file).
std::vector<float> read_whole(const Contents& contents, const std::filesystem::path& path, std::size_t t);

}  // namespace gpas
