// The contents of a checkpoint except the tensors' data: header attributes, table of contents, block checksums, and
// the digest over them that is the completion marker. Internal to io/checkpoint.
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

// The header's members, each once: writing, reading, the digest and `inspect` all go through here.
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
    std::vector<std::int64_t> first_block;  // of each tensor, in block_sums; one more entry at the end
    std::vector<std::uint64_t> block_sums;
};

// Index of each tensor's first block among all blocks, and their number at the end.
std::vector<std::int64_t> first_blocks(std::span<const TensorInfo> tensors);

// XXH3-64 over header, names, shapes and block checksums; docs/formats.md has the bytes.
std::uint64_t digest(const CheckpointHeader& header, std::span<const TensorInfo> tensors,
                     std::span<const std::uint64_t> block_sums);

void write_header(hid_t file, const CheckpointHeader& header, const std::filesystem::path& path);
// The message about a file that disappeared after reading began.
std::string removed_message(const std::filesystem::path& path);

// Runs body(), which reads the file. If it fails because the file has gone meanwhile, the error says that instead of
// what the reader met. Error(bad_file).
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

// Opens and checks all but the tensors' data. Error(bad_file).
Contents open_contents(const std::filesystem::path& path);
// Data of tensor number t, verified. Error(bad_file).
std::vector<float> read_whole(const Contents& contents, const std::filesystem::path& path, std::size_t t);

}  // namespace gpas
