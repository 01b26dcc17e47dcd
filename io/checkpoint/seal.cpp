#include "io/checkpoint/seal.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

namespace gpas {
namespace {

// The end of the seal, after the ranges. Little-endian, as the whole file.
struct Tail {
    std::uint64_t ranges = 0;
    std::uint64_t sum = 0;
    char name[8] = {'G', 'P', 'A', 'S', 'S', 'E', 'A', 'L'};
};
static_assert(sizeof(Tail) == 24 && sizeof(ByteRange) == 16);

constexpr std::int64_t piece_bytes = std::int64_t(1) << 20;

// XXH3-64 of the bytes outside the ranges (ascending), followed by the ranges themselves.
std::uint64_t sum_of(std::int64_t size, const std::vector<ByteRange>& data, const ReadBytes& read) {
    StreamingHash hash;
    std::vector<char> piece;
    const auto add = [&](std::int64_t begin, std::int64_t end) {
        while (begin < end) {
            piece.resize(std::size_t(std::min(piece_bytes, end - begin)));
            read(begin, piece.data(), std::int64_t(piece.size()));
            hash.add(piece.data(), piece.size());
            begin += std::int64_t(piece.size());
        }
    };
    std::int64_t next = 0;
    for (const ByteRange& range : data) {
        add(next, range.begin);
        next = range.begin + range.bytes;
    }
    add(next, size);
    hash.add(data.data(), data.size() * sizeof(ByteRange));
    return hash.value();
}

// The code of a read error: bad_file, unless the system lacks a resource or the user has no permission to read.
[[noreturn]] void refuse_reading(const std::filesystem::path& path, const char* what) {
    const int error = errno;
    constexpr int of_environment[] = {ENOMEM, EMFILE, ENFILE, EACCES, EPERM, ESTALE, ETIMEDOUT};
    const bool environment = std::ranges::find(of_environment, error) != std::end(of_environment);
    fail(environment ? ExitCode::environment : ExitCode::bad_file, "{}: {}{}{}", path.string(), what,
         error != 0 ? ": " : "", error != 0 ? std::strerror(error) : "");
}

}  // namespace

void write_seal(PositionedFile& file, std::int64_t size, std::vector<ByteRange> data, const ReadBytes& read) {
    std::ranges::sort(data, {}, &ByteRange::begin);
    const Tail tail{.ranges = data.size(), .sum = sum_of(size, data, read)};
    const std::int64_t bytes = std::int64_t(data.size() * sizeof(ByteRange));
    file.write(size, data.data(), bytes, "the seal");
    file.write(size + bytes, &tail, sizeof tail, "the seal");
}

void check_seal(const std::filesystem::path& path) {
    const auto refuse = [&](const char* what) { fail(ExitCode::bad_file, "{}: {}", path.string(), what); };
    errno = 0;
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    const std::int64_t file_bytes = in ? std::int64_t(in.tellg()) : -1;
    const auto read = [&](std::int64_t at, void* to, std::int64_t bytes) {
        in.seekg(at);
        errno = 0;
        if (!in.read(static_cast<char*>(to), bytes)) refuse_reading(path, "cannot be read to its end");
    };
    if (file_bytes < 0) refuse_reading(path, "cannot be opened");
    Tail tail;
    if (file_bytes < std::int64_t(sizeof tail)) refuse("not a checkpoint, or cut off");
    read(file_bytes - std::int64_t(sizeof tail), &tail, sizeof tail);
    if (std::memcmp(tail.name, Tail().name, sizeof tail.name) != 0)
        refuse("not a checkpoint, or damaged: it does not end like a checkpoint (cut off?)");
    if (tail.ranges > std::uint64_t(file_bytes) / sizeof(ByteRange)) refuse("damaged: the table at its end is invalid");
    std::vector<ByteRange> data(std::size_t(tail.ranges));
    const std::int64_t bytes = std::int64_t(data.size() * sizeof(ByteRange));
    const std::int64_t size = file_bytes - std::int64_t(sizeof tail) - bytes;
    if (size < 0) refuse("damaged: the table at its end is invalid");
    read(size, data.data(), bytes);
    std::int64_t next = 0;
    for (const ByteRange& range : data) {
        if (range.begin < next || range.bytes < 0 || range.begin > size || range.bytes > size - range.begin)
            refuse("damaged: the table at its end is invalid");
        next = range.begin + range.bytes;
    }
    if (sum_of(size, data, read) != tail.sum)
        refuse("damaged: bytes outside the tensors' data are not those that were written");
}

}  // namespace gpas
