#include "io/checkpoint/hdf5_file.hpp"

#include "io/checkpoint/branch.hpp"
#include "io/checkpoint/checkpoint.hpp"

#include "base/error.hpp"
#include "base/error_of.hpp"
#include "io/checkpoint/blocks.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>

namespace gpas::h5 {
namespace {

constexpr std::size_t largest_attribute_bytes = std::size_t(16) << 20;
constexpr hsize_t most_links = 1'000'000;

Handle file_access(const At& at) {
    Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, at);
    // The file format of HDF5 1.8: all metadata have checksums, and every library since 2008 can read it.
    check(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), at);
    // No process reads a file before its rename, so locks are not needed, and some parallel file systems have no locks.
    check(H5Pset_file_locking(access, false, true), at);
    check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), at);
    check(H5Pset_alignment(access, 1 << 16, 1 << 12), at);  // large tensors start at a page
    check(H5Pset_sieve_buf_size(access, std::size_t(4) << 20), at);
    return access;
}

std::vector<hsize_t> dims_of(std::span<const std::int64_t> shape) { return {shape.begin(), shape.end()}; }

// String attributes have fixed length, because HDF5 stores strings of variable length in a heap without checksums.
Handle string_type(std::size_t bytes, const At& at) {
    Handle type(H5Tcopy(H5T_C_S1), H5Tclose, at);
    check(H5Tset_size(type, std::max<std::size_t>(bytes, 1)), at);
    check(H5Tset_strpad(type, H5T_STR_NULLPAD), at);
    check(H5Tset_cset(type, H5T_CSET_UTF8), at);
    return type;
}

void write_raw(hid_t object, const std::string& name, hid_t type, const void* value, const At& at) {
    Handle space(H5Screate(H5S_SCALAR), H5Sclose, at);
    Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, at);
    check(H5Awrite(attribute, type, value), at);
}

template <class T>
void read_integer(hid_t object, const std::string& name, hid_t type, T& value, const At& at) {
    Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, at);
    Handle stored(H5Aget_type(attribute), H5Tclose, at);
    Handle space(H5Aget_space(attribute), H5Sclose, at);
    if (!check(H5Tequal(stored, type), at) || check(H5Sget_simple_extent_npoints(space), at) != 1)
        fail(at.code, "{}: {}: not one 64-bit integer", at.file.string(), at.what);
    check(H5Aread(attribute, type, &value), at);
}

struct Links {
    std::vector<std::string> names;
    std::string refused;
};

herr_t collect_link(hid_t, const char* name, const H5L_info_t* info, void* data) {
    auto& links = *static_cast<Links*>(data);
    if (info->type != H5L_TYPE_HARD) links.refused = name;
    links.names.emplace_back(name);
    return 0;
}

herr_t collect_attribute(hid_t, const char* name, const H5A_info_t*, void* data) {
    static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
}

}  // namespace

std::string last_message() {
    std::string message;
    H5Ewalk2(
        H5E_DEFAULT, H5E_WALK_UPWARD,
        [](unsigned depth, const H5E_error2_t* error, void* data) -> herr_t {
            if (depth == 0 && error->desc) *static_cast<std::string*>(data) = error->desc;
            return 0;
        },
        &message);
    H5Eclear2(H5E_DEFAULT);
    std::replace(message.begin(), message.end(), '\n', ' ');
    return message.empty() ? "HDF5 gives no reason" : message;
}

namespace {

struct Reason {
    bool memory = false;
    int system_error = 0;  // errno of the system call that failed; 0: no system call failed
};

// HDF5's error stack has a code for lack of memory. For a failed system call it has only a text: "…, errno = 12, …".
Reason reason_of_failure() {
    Reason reason;
    H5Ewalk2(
        H5E_DEFAULT, H5E_WALK_UPWARD,
        [](unsigned, const H5E_error2_t* error, void* data) -> herr_t {
            Reason& found = *static_cast<Reason*>(data);
            found.memory = found.memory || (error->maj_num == H5E_RESOURCE &&
                                            (error->min_num == H5E_NOSPACE || error->min_num == H5E_CANTALLOC));
            const std::string_view text = error->desc != nullptr ? error->desc : "";
            constexpr std::string_view mark = "errno = ";
            if (const std::size_t at = text.find(mark); at != std::string_view::npos && found.system_error == 0)
                found.system_error = std::atoi(error->desc + at + mark.size());
            found.memory = found.memory || text.find("memory allocation failed") != std::string_view::npos;
            return 0;
        },
        &reason);
    return reason;
}

// EIO is not in the list: if the medium cannot be read, the file counts as damaged.
bool is_of_environment(int system_error) {
    constexpr int codes[] = {ENOMEM, EMFILE, ENFILE, EAGAIN, EINTR, EACCES, EPERM, ESTALE, ETIMEDOUT, ENOSPC, EDQUOT};
    return std::ranges::find(codes, system_error) != std::end(codes);
}

}  // namespace

void fail_call(const At& at) {
    const Reason reason = reason_of_failure();
    const std::string message = last_message();
    if (reason.memory || reason.system_error == ENOMEM)
        fail(ExitCode::environment, "{}",
             host_memory_short(fmt::format("{}: {}: {}", at.file.string(), at.what, message)));
    const ExitCode code = is_of_environment(reason.system_error) ? ExitCode::environment : at.code;
    fail(code, "{}: {}: {}", at.file.string(), at.what, message);
}

void silence() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

Handle create_file(const std::filesystem::path& file, const std::function<void(hid_t access)>& set_driver) {
    silence();
    const At at{file, "creating the file", ExitCode::environment};
    Handle access = file_access(at);
    set_driver(access);
    Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, at);
    check(H5Pset_obj_track_times(creation, false), at);  // equal states give equal bytes
    return Handle(H5Fcreate(file.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, at);
}

void check_is_file(const std::filesystem::path& file) {
    std::error_code error;
    if (std::filesystem::is_regular_file(file, error)) return;
    std::string why;
    if (std::filesystem::is_directory(file, error)) {
        why = " (it is a directory; name a step_*.h5 in it)";
    } else if (checkpoint_step(file)) {
        const auto moved = moved_to(file);
        why = moved ? fmt::format("; it has been set aside: {}", moved->string())
                    : "; if it existed before, the run has removed it (checkpoint.keep_last): name a newer checkpoint";
    }
    fail(ExitCode::bad_file, "{}: no such checkpoint file{}", file.string(), why);
}

Handle open_read(const std::filesystem::path& file) {
    silence();
    const At at{file, "opening"};
    if (check(H5Fis_hdf5(file.c_str()), at) == 0)
        fail(ExitCode::bad_file, "{}: not a checkpoint: not an HDF5 file, or its first bytes are damaged",
             file.string());
    Handle access = file_access(at);
    return Handle(H5Fopen(file.c_str(), H5F_ACC_RDONLY, access), H5Fclose, at);
}

Handle create_group(hid_t parent, const std::string& name, const At& at) {
    Handle creation(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, at);
    check(H5Pset_obj_track_times(creation, false), at);
    return Handle(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), H5Gclose, at);
}

Handle create_dataset(hid_t parent, const std::string& name, hid_t type, std::span<const std::int64_t> shape,
                      const At& at) {
    const auto dims = dims_of(shape);
    Handle space(H5Screate_simple(int(dims.size()), dims.data(), nullptr), H5Sclose, at);
    Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, at);
    check(H5Pset_layout(creation, H5D_CONTIGUOUS), at);
    check(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), at);
    check(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), at);
    check(H5Pset_obj_track_times(creation, false), at);
    return Handle(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), H5Dclose, at);
}

std::int64_t data_position(hid_t dataset, const At& at) {
    const haddr_t position = H5Dget_offset(dataset);
    if (position == HADDR_UNDEF) fail(at.code, "{}: {}: not allocated: {}", at.file.string(), at.what, last_message());
    return std::int64_t(position);
}

void write_attribute(hid_t object, const std::string& name, const std::string& value, const At& at) {
    Handle type = string_type(value.size(), at);
    write_raw(object, name, type, value.c_str(), at);
}

void write_attribute(hid_t object, const std::string& name, std::int64_t value, const At& at) {
    write_raw(object, name, H5T_STD_I64LE, &value, at);
}

void write_attribute(hid_t object, const std::string& name, std::uint64_t value, const At& at) {
    write_raw(object, name, H5T_STD_U64LE, &value, at);
}

void read_attribute(hid_t object, const std::string& name, std::string& value, const At& at) {
    Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, at);
    Handle stored(H5Aget_type(attribute), H5Tclose, at);
    Handle space(H5Aget_space(attribute), H5Sclose, at);
    if (check(H5Tget_class(stored), at) != H5T_STRING || check(H5Tis_variable_str(stored), at) ||
        check(H5Sget_simple_extent_npoints(space), at) != 1)
        fail(at.code, "{}: {}: not a text of fixed length", at.file.string(), at.what);
    const std::size_t bytes = H5Tget_size(stored);
    if (bytes == 0 || bytes > largest_attribute_bytes)
        fail(at.code, "{}: {}: a text of {} bytes is not believable", at.file.string(), at.what, bytes);
    value.assign(bytes, '\0');
    check(H5Aread(attribute, stored, value.data()), at);
    value.resize(value.find_last_not_of('\0') + 1);
}

void read_attribute(hid_t object, const std::string& name, std::int64_t& value, const At& at) {
    read_integer(object, name, H5T_STD_I64LE, value, at);
}

void read_attribute(hid_t object, const std::string& name, std::uint64_t& value, const At& at) {
    read_integer(object, name, H5T_STD_U64LE, value, at);
}

bool has_attribute(hid_t object, const std::string& name, const At& at) {
    return check(H5Aexists(object, name.c_str()), at) > 0;
}

std::vector<std::string> attribute_names(hid_t object, const At& at) {
    std::vector<std::string> names;
    check(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect_attribute, &names), at);
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<std::string> link_names(hid_t group, const At& at) {
    H5G_info_t info;
    check(H5Gget_info(group, &info), at);
    if (info.nlinks > most_links)
        fail(at.code, "{}: {}: {} entries are not believable", at.file.string(), at.what, info.nlinks);
    Links links;
    check(H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect_link, &links), at);
    if (!links.refused.empty())
        fail(at.code, "{}: {}: \"{}\" is a soft or external link, which a checkpoint does not contain",
             at.file.string(), at.what, links.refused);
    std::sort(links.names.begin(), links.names.end());
    return links.names;
}

void read_slab(hid_t dataset, std::span<const std::int64_t> start, std::span<const std::int64_t> count, float* data,
               std::int64_t piece_bytes, const At& at) {
    const std::int64_t piece = std::max<std::int64_t>(1, piece_bytes / std::int64_t(sizeof(float)));
    Handle file_space(H5Dget_space(dataset), H5Sclose, at);
    for_each_piece(start, count, piece, [&](auto piece_start, auto piece_count, std::int64_t offset) {
        const auto from = dims_of(piece_start), extent = dims_of(piece_count);
        check(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, from.data(), nullptr, extent.data(), nullptr), at);
        const hsize_t elements = hsize_t(element_count(piece_count));
        Handle memory(H5Screate_simple(1, &elements, nullptr), H5Sclose, at);
        check(H5Dread(dataset, H5T_NATIVE_FLOAT, memory, file_space, H5P_DEFAULT, data + offset), at);
    });
}

}  // namespace gpas::h5
