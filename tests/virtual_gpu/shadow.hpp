// The happens-before checker: a race detector for GPU memory, similar to ThreadSanitizer. For each element of a virtual
// GPU's memory it keeps the operation that wrote the element last, and the operations that have read it since.
#pragma once

#include "tests/virtual_gpu/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gpas::virtual_gpu {

enum class Access { read, write };

// Two operations of a GPU conflict if they touch the same bytes, at least one of them writes, and neither streams nor
// events nor waits of the host guarantee that one ends before the other begins. It also reports reads of unwritten and
// of freed memory. It works on granules of two bytes, the smallest element. Not thread-safe: its GPU runs one operation
// at a time.
class Shadow {
public:
    using Describe = std::function<std::string(Moment)>;

    // For memory that starts at `base`, none of it allocated. describe: the name of an operation in a report.
    Shadow(const std::byte* base, Describe describe);

    void allocated(const void* begin, std::size_t bytes);  // the range is unwritten from now on
    void freed(const void* begin, std::size_t bytes);
    // Checks and records one access of an operation. clock: the operations that have ended when it begins, and the
    // operation itself.
    void access(Moment operation, const Clock& clock, const void* begin, std::size_t bytes, Access access);

private:
    static constexpr std::size_t granule_bytes = 2;
    static constexpr std::size_t page_bytes = 4096;
    static constexpr std::size_t cells_of_page = page_bytes / granule_bytes;
    static constexpr std::size_t most_readers = 3;  // readers kept per granule; a further one replaces the first

    struct Cell {
        std::uint32_t writer = 0;
        std::uint32_t readers[most_readers] = {};
    };
    // Without `cells`, all cells of the page are equal to `same`. `cells` is allocated at the first access to a part of
    // it.
    struct Page {
        Cell same;
        std::unique_ptr<Cell[]> cells;
    };

    template <class Visit>
    void visit(const void* begin, std::size_t bytes, Visit&& visit_cell);
    void touch(Cell& cell, Moment operation, const Clock& clock, std::size_t offset, Access access);
    void set(const void* begin, std::size_t bytes, std::uint32_t writer);
    void conflict(const char* what, Moment operation, Moment other, std::size_t offset);

    const std::byte* base_;
    Describe describe_;
    std::vector<Page> pages_;
};

}  // namespace gpas::virtual_gpu
