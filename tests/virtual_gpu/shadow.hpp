// The happens-before checker: of each element of a virtual GPU's memory, who wrote it last and who has read it since.
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

// Two operations of a GPU conflict if they touch the same bytes, at least one of them writes, and no order of streams,
// events and waits of the host makes one end before the other begins. Granules of two bytes: the smallest element.
// Not thread-safe: its GPU runs one operation at a time.
class Shadow {
public:
    using Describe = std::function<std::string(Moment)>;

    // Memory from `base` on, of which nothing is allocated. describe: names an operation in a report.
    Shadow(const std::byte* base, Describe describe);

    void allocated(const void* begin, std::size_t bytes);  // unwritten from now on
    void freed(const void* begin, std::size_t bytes);
    // Checks and records what the operation does. clock: what is over when the operation begins, the operation itself
    // included.
    void access(Moment operation, const Clock& clock, const void* begin, std::size_t bytes, Access access);

private:
    static constexpr std::size_t granule_bytes = 2;
    static constexpr std::size_t page_bytes = 4096;
    static constexpr std::size_t cells_of_page = page_bytes / granule_bytes;
    static constexpr std::size_t most_readers = 3;  // kept; a further one takes the place of the first

    struct Cell {
        std::uint32_t writer = 0;
        std::uint32_t readers[most_readers] = {};
    };
    // All cells alike (`same`), until a part of the page is treated otherwise.
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
