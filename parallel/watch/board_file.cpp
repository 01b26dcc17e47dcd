#include "parallel/watch/board_file.hpp"

#include "base/descriptor.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <new>
#include <optional>

namespace gpas {
namespace {

using std::filesystem::path;

void* map_memory(int descriptor, int flags) {
    void* memory = mmap(nullptr, sizeof(RankBoard), PROT_READ | PROT_WRITE, flags, descriptor, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

bool process_lives(const RankBoard& board) {
    return board.process_start != 0 && process_start_ticks(board.pid) == board.process_start;
}

}  // namespace

MappedBoard::MappedBoard(MappedBoard&& other) noexcept
    : board_(std::exchange(other.board_, nullptr)),
      file_(std::move(other.file_)),
      unlink_(std::exchange(other.unlink_, false)) {}

MappedBoard& MappedBoard::operator=(MappedBoard&& other) noexcept {
    std::swap(board_, other.board_);
    std::swap(file_, other.file_);
    std::swap(unlink_, other.unlink_);
    return *this;
}

MappedBoard::~MappedBoard() {
    if (unlink_) unlink(file_.c_str());
    if (board_ != nullptr) munmap(board_, sizeof(RankBoard));
}

BoardDirectory::BoardDirectory(const std::string& job_key, path directory) : directory_(std::move(directory)) {
    for (const char c : job_key) job_ += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
}

std::string BoardDirectory::prefix() const { return fmt::format("gpas.{}.", geteuid()); }

MappedBoard BoardDirectory::make(int rank, std::string* note) const {
    MappedBoard mapped;
    mapped.file_ = directory_ / fmt::format("{}{}.{}", prefix(), job_, rank);
    unlink(mapped.file_.c_str());  // left by an earlier process; processes that have it mapped keep the memory
    const Descriptor file(open(mapped.file_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    void* memory = nullptr;
    // posix_fallocate: a lack of memory is an error here, not a SIGBUS at a later access.
    if (file.get() >= 0 && posix_fallocate(file.get(), 0, sizeof(RankBoard)) == 0)
        memory = map_memory(file.get(), MAP_SHARED);
    if (memory == nullptr) {
        if (note != nullptr)
            *note = fmt::format("{}: {}: the ranks of a node cannot see each other's state", mapped.file_.string(),
                                std::strerror(errno));
        if (file.get() >= 0) unlink(mapped.file_.c_str());
        memory = map_memory(-1, MAP_PRIVATE | MAP_ANONYMOUS);
        if (memory == nullptr) throw std::bad_alloc();
    } else {
        mapped.unlink_ = true;
    }
    mapped.board_ = new (memory) RankBoard;
    return mapped;
}

void BoardDirectory::find_others(int own_rank, std::map<int, MappedBoard>& boards) const {
    const std::string start = fmt::format("{}{}.", prefix(), job_);
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        int rank = -1;
        const char* last = name.data() + name.size();
        if (!name.starts_with(start)) continue;
        const auto parsed = std::from_chars(name.data() + start.size(), last, rank);
        if (parsed.ec != std::errc() || parsed.ptr != last || rank == own_rank || boards.contains(rank)) continue;
        const Descriptor file(open(entry->path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
        struct stat status = {};
        if (file.get() < 0 || fstat(file.get(), &status) != 0 || status.st_uid != geteuid() ||
            status.st_size != off_t(sizeof(RankBoard)))
            continue;
        MappedBoard mapped;
        mapped.board_ = static_cast<RankBoard*>(map_memory(file.get(), MAP_SHARED));
        mapped.file_ = entry->path();
        if (!mapped || mapped->magic != board_magic) continue;  // not opened yet
        boards.emplace(rank, std::move(mapped));
    }
}

void BoardDirectory::remove_leftovers() const {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (!name.starts_with(prefix()) || name.starts_with(prefix() + job_ + ".")) continue;
        const Descriptor file(open(entry->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        const auto board = std::make_unique<RankBoard>();
        const bool whole =
            file.get() >= 0 &&
            read(file.get(), static_cast<void*>(board.get()), sizeof(RankBoard)) == ssize_t(sizeof(RankBoard)) &&
            board->magic == board_magic;
        if (whole && !process_lives(*board)) unlink(entry->path().c_str());
    }
}

}  // namespace gpas
