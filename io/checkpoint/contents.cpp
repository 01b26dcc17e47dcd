#include "io/checkpoint/contents.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "io/checkpoint/blocks.hpp"
#include "io/checkpoint/seal.hpp"

#include <algorithm>
#include <set>

namespace gpas {
namespace {

constexpr const char* extra_prefix = "extra.";

using std::filesystem::path;

[[noreturn]] void refuse(const path& file, const std::string& what) {
    fail(ExitCode::bad_file, "{}: {}", file.string(), what);
}

void add_field(std::string& text, std::string_view name, std::string_view value) {
    text += fmt::format("{}:{}:{}\n", name, value.size(), value);
}

void check_format(hid_t file, const path& path) {
    const h5::At at{path, "attribute format"};
    std::string format;
    if (h5::has_attribute(file, format_attribute, at)) h5::read_attribute(file, format_attribute, format, at);
    if (format != format_name)
        refuse(path, fmt::format("an HDF5 file, but not a checkpoint of gpas (attribute {} is \"{}\", expected \"{}\")",
                                 format_attribute, format, format_name));
    std::int64_t version = 0;
    h5::read_attribute(file, version_attribute, version, {path, "attribute format_version"});
    if (version > checkpoint_format_version)
        refuse(path, fmt::format("format version {} is newer than this gpas reads ({}); use a newer gpas", version,
                                 checkpoint_format_version));
    if (version < 1) refuse(path, fmt::format("format version {} does not exist", version));
}

CheckpointHeader read_attributes(hid_t file, const path& path) {
    CheckpointHeader header;
    std::set<std::string> known{format_attribute, version_attribute, marker_attribute};
    for_each_field(header, [&](const char* name, auto& value) {
        h5::read_attribute(file, name, value, {path, fmt::format("attribute {}", name)});
        known.insert(name);
    });
    for (const std::string& name : h5::attribute_names(file, {path, "attributes"})) {
        if (known.contains(name)) continue;
        const std::string what = fmt::format("attribute {}", name);
        if (!name.starts_with(extra_prefix)) refuse(path, what + " is not a part of a checkpoint");
        h5::read_attribute(file, name, header.extra[name.substr(std::string_view(extra_prefix).size())], {path, what});
    }
    return header;
}

std::vector<std::int64_t> dataset_shape(hid_t dataset, int most_dimensions, const h5::At& at) {
    h5::Handle space(H5Dget_space(dataset), H5Sclose, at);
    const int rank = h5::check(H5Sget_simple_extent_ndims(space), at);
    if (rank < 1 || rank > most_dimensions)
        fail(at.code, "{}: {}: {} dimensions are not believable", at.file.string(), at.what, rank);
    std::vector<hsize_t> dims(std::size_t(rank), 0);
    h5::check(H5Sget_simple_extent_dims(space, dims.data(), nullptr), at);
    return {dims.begin(), dims.end()};
}

// Checks that the dataset has this type, is stored uncompressed and contiguous in this file, and is completely
// allocated.
std::vector<std::int64_t> check_dataset(hid_t dataset, hid_t type, const char* type_name, std::int64_t file_bytes,
                                        const h5::At& at) {
    h5::Handle stored(H5Dget_type(dataset), H5Tclose, at);
    if (!h5::check(H5Tequal(stored, type), at))
        fail(at.code, "{}: {}: its type is not {}", at.file.string(), at.what, type_name);
    h5::Handle creation(H5Dget_create_plist(dataset), H5Pclose, at);
    if (h5::check(H5Pget_layout(creation), at) != H5D_CONTIGUOUS || h5::check(H5Pget_external_count(creation), at) != 0)
        fail(at.code, "{}: {}: not stored in one piece in this file", at.file.string(), at.what);
    const auto shape = dataset_shape(dataset, 8, at);
    const std::int64_t element_bytes = std::int64_t(H5Tget_size(stored));
    std::int64_t bytes = element_bytes;
    for (std::int64_t dim : shape) {
        if (dim < 1 || dim > file_bytes / bytes)
            fail(at.code, "{}: {}: shape {} does not fit into a file of {} bytes", at.file.string(), at.what,
                 shape_text(shape), file_bytes);
        bytes *= dim;
    }
    const haddr_t offset = H5Dget_offset(dataset);
    if (offset == HADDR_UNDEF || offset > haddr_t(file_bytes - bytes) || H5Dget_storage_size(dataset) != hsize_t(bytes))
        fail(at.code, "{}: {}: the file does not contain all of its {} bytes", at.file.string(), at.what, bytes);
    return shape;
}

std::vector<TensorInfo> read_tensor_list(hid_t file, const path& path, std::int64_t file_bytes) {
    std::vector<TensorInfo> tensors;
    for (const std::string& group_name : h5::link_names(file, {path, "the root group"})) {
        if (group_name == "checksums") continue;
        if (std::ranges::find(state_groups, group_name) == std::end(state_groups))
            refuse(path, fmt::format("\"{}\" is not a part of a checkpoint", group_name));
        const std::string what = fmt::format("group {}", group_name);
        h5::Handle group(H5Gopen2(file, group_name.c_str(), H5P_DEFAULT), H5Gclose, {path, what});
        for (const std::string& name : h5::link_names(group, {path, what})) {
            const std::string full = group_name + "/" + name;
            const std::string dataset_what = fmt::format("dataset {}", full);
            const h5::At at{path, dataset_what};
            h5::Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, at);
            tensors.push_back({full, check_dataset(dataset, H5T_IEEE_F32LE, "little-endian fp32", file_bytes, at)});
        }
    }
    std::ranges::sort(tensors, {}, &TensorInfo::name);
    return tensors;
}

std::vector<std::uint64_t> read_block_sums(hid_t file, const path& path, std::int64_t blocks, std::int64_t file_bytes) {
    const h5::At at{path, "dataset checksums/blocks"};
    h5::Handle group(H5Gopen2(file, "checksums", H5P_DEFAULT), H5Gclose, at);
    h5::link_names(group, at);
    h5::Handle dataset(H5Dopen2(group, "blocks", H5P_DEFAULT), H5Dclose, at);
    const auto shape = check_dataset(dataset, H5T_STD_U64LE, "unsigned 64-bit", file_bytes, at);
    if (shape != std::vector<std::int64_t>{blocks})
        refuse(path, fmt::format("{}: shape {}, but the tensors have {} blocks", at.what, shape_text(shape), blocks));
    std::vector<std::uint64_t> sums(std::size_t(blocks), 0);
    h5::check(H5Dread(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, sums.data()), at);
    return sums;
}

}  // namespace

std::vector<std::int64_t> first_blocks(std::span<const TensorInfo> tensors) {
    std::vector<std::int64_t> first{0};
    for (const TensorInfo& tensor : tensors) first.push_back(first.back() + block_count(element_count(tensor.shape)));
    return first;
}

std::uint64_t digest(const CheckpointHeader& header, std::span<const TensorInfo> tensors,
                     std::span<const std::uint64_t> block_sums) {
    std::string text;
    add_field(text, format_attribute, format_name);
    add_field(text, version_attribute, fmt::format("{}", checkpoint_format_version));
    for_each_field(header,
                   [&](const char* name, const auto& value) { add_field(text, name, fmt::format("{}", value)); });
    for (const auto& [key, value] : header.extra) add_field(text, extra_prefix + key, value);
    for (const TensorInfo& tensor : tensors) add_field(text, tensor.name, shape_text(tensor.shape));
    for (std::uint64_t sum : block_sums) text += fmt::format("{:016x}\n", sum);
    return hash_of(text);
}

void write_header(hid_t file, const CheckpointHeader& header, const path& path) {
    const auto write = [&](const std::string& name, const auto& value) {
        h5::write_attribute(file, name, value,
                            {path, fmt::format("writing attribute {}", name), ExitCode::environment});
    };
    write(format_attribute, std::string(format_name));
    write(version_attribute, checkpoint_format_version);
    for_each_field(header, write);
    for (const auto& [key, value] : header.extra) write(extra_prefix + key, value);
}

namespace {

Contents read_contents(const path& path) {
    Contents contents;
    check_seal(path);
    contents.file = h5::open_read(path);
    const hid_t file = contents.file;
    const std::int64_t file_bytes = std::int64_t(std::filesystem::file_size(path));
    check_format(file, path);
    if (!h5::has_attribute(file, marker_attribute, {path, "attribute complete"}))
        refuse(path, "unfinished: its completion marker is missing");
    contents.header = read_attributes(file, path);
    contents.tensors = read_tensor_list(file, path, file_bytes);
    contents.first_block = first_blocks(contents.tensors);
    contents.block_sums = read_block_sums(file, path, contents.first_block.back(), file_bytes);
    std::uint64_t marker = 0;
    h5::read_attribute(file, marker_attribute, marker, {path, "attribute complete"});
    if (marker != digest(contents.header, contents.tensors, contents.block_sums))
        refuse(path, "damaged: attributes, tensor list or checksums differ from what was written (digest mismatch)");
    return contents;
}

}  // namespace

std::string removed_message(const path& path) {
    return fmt::format(
        "{}: was removed while it was read: a run that uses this directory removes old checkpoints "
        "(checkpoint.keep_last) or sets them aside; start again with a newer checkpoint, or copy the file first",
        path.string());
}

Contents open_contents(const path& path) {
    h5::check_is_file(path);
    return while_there(path, [&] { return read_contents(path); });
}

}  // namespace gpas
