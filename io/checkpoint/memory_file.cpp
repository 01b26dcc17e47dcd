#include "io/checkpoint/memory_file.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace gpas::h5 {
namespace {

// The handle of an open file. HDF5's own part must be the first member.
struct OpenFile {
    H5FD_t header{};
    MemoryFile* memory = nullptr;
};

MemoryFile& memory_of(const H5FD_t* file) { return *reinterpret_cast<const OpenFile*>(file)->memory; }

H5FD_t* open_memory(const char*, unsigned, hid_t access, haddr_t) {
    const void* info = H5Pget_driver_info(access);
    if (info == nullptr) return nullptr;
    auto* file = new (std::nothrow) OpenFile;
    if (file == nullptr) return nullptr;
    file->memory = *static_cast<MemoryFile* const*>(info);
    return &file->header;
}

H5FD_class_t driver_class() {
    H5FD_class_t driver{};
    driver.name = "gpas_memory";
    driver.maxaddr = (haddr_t(1) << 62) - 1;
    driver.fc_degree = H5F_CLOSE_STRONG;
    driver.fapl_size = sizeof(MemoryFile*);
    driver.open = open_memory;
    driver.close = [](H5FD_t* file) -> herr_t {
        delete reinterpret_cast<OpenFile*>(file);
        return 0;
    };
    driver.query = [](const H5FD_t*, unsigned long* flags) -> herr_t {  // compatible with files of the default driver
        *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
                 H5FD_FEAT_AGGREGATE_SMALLDATA;
        return 0;
    };
    driver.get_eoa = [](const H5FD_t* file, H5FD_mem_t) -> haddr_t { return haddr_t(memory_of(file).size()); };
    driver.set_eoa = [](H5FD_t* file, H5FD_mem_t, haddr_t size) -> herr_t {
        memory_of(file).set_size(std::int64_t(size));
        return 0;
    };
    driver.get_eof = [](const H5FD_t* file, H5FD_mem_t) -> haddr_t { return haddr_t(memory_of(file).size()); };
    driver.read = [](H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, std::size_t bytes, void* data) -> herr_t {
        memory_of(file).read(std::int64_t(at), data, std::int64_t(bytes));
        return 0;
    };
    driver.write = [](H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, std::size_t bytes, const void* data) -> herr_t {
        memory_of(file).write(std::int64_t(at), data, std::int64_t(bytes));
        return 0;
    };
    const H5FD_mem_t one_for_all[] = H5FD_FLMAP_SINGLE;
    std::copy(std::begin(one_for_all), std::end(one_for_all), driver.fl_map);
    return driver;
}

hid_t driver_id(const At& at) {
    static const H5FD_class_t driver = driver_class();
    static const hid_t id = H5FDregister(&driver);
    return check(id, at);
}

}  // namespace

Handle MemoryFile::create(const std::filesystem::path& path) {
    const At at{path, "laying out the file", ExitCode::environment};
    MemoryFile* self = this;
    const hid_t driver = driver_id(at);
    return create_file(path, [&](hid_t access) { check(H5Pset_driver(access, driver, &self), at); });
}

void MemoryFile::write(std::int64_t at, const void* data, std::int64_t bytes) noexcept {
    const auto* from = static_cast<const std::byte*>(data);
    try {
        while (bytes > 0) {
            const std::int64_t begin = at % page_bytes;
            const std::int64_t count = std::min(bytes, page_bytes - begin);
            Page& page = pages_[at / page_bytes];
            std::memcpy(page.bytes.data() + begin, from, std::size_t(count));
            for (std::int64_t i = begin; i < begin + count; ++i) page.written.set(std::size_t(i));
            at += count, from += count, bytes -= count;
        }
    } catch (const std::bad_alloc&) {
        failed_ = true;
    }
}

void MemoryFile::read(std::int64_t at, void* data, std::int64_t bytes) const {
    auto* to = static_cast<std::byte*>(data);
    while (bytes > 0) {
        const std::int64_t begin = at % page_bytes;
        const std::int64_t count = std::min(bytes, page_bytes - begin);
        const auto page = pages_.find(at / page_bytes);
        if (page == pages_.end())
            std::memset(to, 0, std::size_t(count));
        else
            std::memcpy(to, page->second.bytes.data() + begin, std::size_t(count));
        at += count, to += count, bytes -= count;
    }
}

void MemoryFile::write_to(PositionedFile& file) const {
    if (failed_) fail(ExitCode::environment, "no memory for the metadata of a checkpoint");
    for (const auto& [number, page] : pages_)
        for (std::int64_t begin = 0, end = 0; begin < page_bytes; begin = end) {
            const bool written = page.written[std::size_t(begin)];
            while (end < page_bytes && page.written[std::size_t(end)] == written) ++end;
            if (written) file.write(number * page_bytes + begin, page.bytes.data() + begin, end - begin, "metadata");
        }
    file.set_size(size_);
}

}  // namespace gpas::h5
