// HDF5 with its sharp edges covered: handles that close themselves, and one check for every call. Internal to
// io/checkpoint.
#pragma once

#define H5_USE_110_API  // the same calls with any newer library

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

// Where a call was made, for the one line that a person reads.
struct At {
    const std::filesystem::path& file;
    std::string_view what;  // "attribute config", "dataset weights/x"
    ExitCode code = ExitCode::bad_file;
};

// What libhdf5 found, innermost message first; clears it.
std::string last_message();
// The error of the call that has just failed. With at.code, unless libhdf5 ran out of memory or of descriptors, or may
// not read: that is Error(environment) and says nothing about the file.
[[noreturn]] void fail_call(const At& at);
// No error output of HDF5's own, from now on.
void silence();

// Every HDF5 call passes through here: negative means failure, whatever the type.
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
    // Closing can fail where writing does: whoever wrote closes with this.
    void close(const At& at) {
        if (id_ >= 0) check(close_(std::exchange(id_, -1)), at);
    }

private:
    hid_t id_ = -1;
    Close close_ = nullptr;
};

// A new file where the driver says that files are.
Handle create_file(const std::filesystem::path& file, const std::function<void(hid_t access)>& set_driver);
void check_is_file(const std::filesystem::path& file);  // Error(bad_file)
Handle open_read(const std::filesystem::path& file);

Handle create_group(hid_t parent, const std::string& name, const At& at);
// Contiguous, allocated at once, never filled.
Handle create_dataset(hid_t parent, const std::string& name, hid_t type, std::span<const std::int64_t> shape,
                      const At& at);

// Where its data begin in the file, in bytes.
std::int64_t data_position(hid_t dataset, const At& at);

void write_attribute(hid_t object, const std::string& name, const std::string& value, const At& at);
void write_attribute(hid_t object, const std::string& name, std::int64_t value, const At& at);
void write_attribute(hid_t object, const std::string& name, std::uint64_t value, const At& at);
void read_attribute(hid_t object, const std::string& name, std::string& value, const At& at);
void read_attribute(hid_t object, const std::string& name, std::int64_t& value, const At& at);
void read_attribute(hid_t object, const std::string& name, std::uint64_t& value, const At& at);
bool has_attribute(hid_t object, const std::string& name, const At& at);
std::vector<std::string> attribute_names(hid_t object, const At& at);  // sorted

// Names in a group, sorted. Refuses links that are not plain: soft links, and links into other files.
std::vector<std::string> link_names(hid_t group, const At& at);

// Reads one hyperslab, in pieces of at most piece_bytes.
void read_slab(hid_t dataset, std::span<const std::int64_t> start, std::span<const std::int64_t> count, float* data,
               std::int64_t piece_bytes, const At& at);

}  // namespace gpas::h5
