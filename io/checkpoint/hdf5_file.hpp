// Wrappers of HDF5: handles that close themselves, and one check of the result of every call. Internal to
// io/checkpoint.
#pragma once

#define H5_USE_110_API  // newer libraries then offer the same calls

#include "base/error.hpp"

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpas::h5 {

// The context of a call, for its error message.
struct At {
    const std::filesystem::path& file;
    std::string_view what;               // "attribute config", "dataset weights/x"
    ExitCode code = ExitCode::bad_file;  // of the error
};

// The messages of libhdf5's error stack, innermost first; clears the stack.
std::string last_message();
// Throws the error of the call that has just failed, with at.code. Exception: if libhdf5 ran out of memory or file
// descriptors, or has no permission to read, throws Error(environment), because the file itself may be intact.
[[noreturn]] void fail_call(const At& at);
// Turns off HDF5's own error output for the rest of the process.
void silence();

// Checks the result of an HDF5 call, and returns it. A negative result means failure, for every result type.
template <class T>
T check(T result, const At& at) {
    if (result < 0) fail_call(at);
    return result;
}

class Handle {
public:
    using Close = herr_t (*)(hid_t);
    Handle() = default;
    Handle(hid_t id, Close closer, const At& at) : id_(check(id, at)), close_(closer) {}
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(id_, other.id_);
        std::swap(close_, other.close_);
        return *this;
    }
    ~Handle() {
        if (id_ >= 0) close_(id_);
    }
    operator hid_t() const { return id_; }
    // Closes the handle and checks the result. After writing, call this: HDF5 may write during closing, which can fail.
    void close(const At& at) {
        if (id_ >= 0) check(close_(std::exchange(id_, -1)), at);
    }

private:
    hid_t id_ = -1;
    Close close_ = nullptr;
};

// Creates a file. set_driver chooses the HDF5 file driver in the access property list.
Handle create_file(const std::filesystem::path& file, const std::function<void(hid_t access)>& set_driver);
void check_is_file(const std::filesystem::path& file);  // Error(bad_file)
Handle open_read(const std::filesystem::path& file);

// All functions below throw an Error with at.code if an HDF5 call fails (see fail_call).

Handle create_group(hid_t parent, const std::string& name, const At& at);
// The dataset has contiguous layout. Its space is allocated immediately and not filled.
Handle create_dataset(hid_t parent, const std::string& name, hid_t type, std::span<const std::int64_t> shape,
                      const At& at);

// The position of the dataset's first byte in the file.
std::int64_t data_position(hid_t dataset, const At& at);

void write_attribute(hid_t object, const std::string& name, const std::string& value, const At& at);
void write_attribute(hid_t object, const std::string& name, std::int64_t value, const At& at);
void write_attribute(hid_t object, const std::string& name, std::uint64_t value, const At& at);
void read_attribute(hid_t object, const std::string& name, std::string& value, const At& at);
void read_attribute(hid_t object, const std::string& name, std::int64_t& value, const At& at);
void read_attribute(hid_t object, const std::string& name, std::uint64_t& value, const At& at);
bool has_attribute(hid_t object, const std::string& name, const At& at);
std::vector<std::string> attribute_names(hid_t object, const At& at);  // sorted

// Names in a group, sorted. Error with at.code for soft links and for links into other files.
std::vector<std::string> link_names(hid_t group, const At& at);

// data = the hyperslab, row-major; read in pieces of at most piece_bytes.
void read_slab(hid_t dataset, std::span<const std::int64_t> start, std::span<const std::int64_t> count, float* data,
               std::int64_t piece_bytes, const At& at);

}  // namespace gpas::h5
