#include "tests/virtual_gpu/shadow.hpp"

#include "tests/virtual_gpu/findings.hpp"

#include <algorithm>

namespace gpas::virtual_gpu {
namespace {

// Special values of Cell::writer.
constexpr std::uint32_t unwritten = 0;
constexpr std::uint32_t not_allocated = 0xffffffffU;

Moment moment_of(std::uint32_t bits) {
    Moment moment;
    moment.bits = bits;
    return moment;
}

}  // namespace

Shadow::Shadow(const std::byte* base, Describe describe) : base_(base), describe_(std::move(describe)) {}

// Calls visit_cell(cell, offset) for the granules of a range. If the range contains a whole page whose cells are equal,
// there is one call for the page.
template <class Visit>
void Shadow::visit(const void* begin, std::size_t bytes, Visit&& visit_cell) {
    std::size_t at = std::size_t(static_cast<const std::byte*>(begin) - base_) / granule_bytes;
    const std::size_t end =
        (std::size_t(static_cast<const std::byte*>(begin) - base_) + bytes + granule_bytes - 1) / granule_bytes;
    while (at < end) {
        Page& page = pages_[at / cells_of_page];
        const std::size_t first = at % cells_of_page;
        const std::size_t count = std::min(cells_of_page - first, end - at);
        if (count == cells_of_page && !page.cells) {
            visit_cell(page.same, at * granule_bytes);
        } else {
            if (!page.cells) {
                page.cells = std::make_unique<Cell[]>(cells_of_page);
                std::fill_n(page.cells.get(), cells_of_page, page.same);
            }
            for (std::size_t i = first; i < first + count; ++i)
                visit_cell(page.cells[i], (at + i - first) * granule_bytes);
        }
        at += count;
    }
}

void Shadow::set(const void* begin, std::size_t bytes, std::uint32_t writer) {
    visit(begin, bytes, [&](Cell& cell, std::size_t) { cell = Cell{.writer = writer}; });
}

void Shadow::allocated(const void* begin, std::size_t bytes) {
    const std::size_t end = std::size_t(static_cast<const std::byte*>(begin) - base_) + bytes;
    while (pages_.size() * page_bytes < end) pages_.emplace_back().same.writer = not_allocated;
    set(begin, bytes, unwritten);
}
void Shadow::freed(const void* begin, std::size_t bytes) { set(begin, bytes, not_allocated); }

void Shadow::conflict(const char* what, Moment operation, Moment other, std::size_t offset) {
    report(describe_(operation) + " " + what + " " + describe_(other) + ", and nothing orders the two (first at byte " +
           std::to_string(offset / page_bytes * page_bytes) + " of the GPU's memory)");
}

void Shadow::touch(Cell& cell, Moment operation, const Clock& clock, std::size_t offset, Access access) {
    if (cell.writer == operation.bits) return;
    if (cell.writer == not_allocated) {
        report(describe_(operation) + (access == Access::read ? " reads" : " writes") +
               " memory that is not allocated, or no longer");
        return;
    }
    const bool writes = access == Access::write;
    if (cell.writer == unwritten) {
        if (!writes) report(describe_(operation) + " reads memory that nothing has written");
    } else if (!clock.covers(moment_of(cell.writer))) {
        conflict(writes ? "writes what is also written by" : "reads what is written by", operation,
                 moment_of(cell.writer), offset);
    }
    if (writes) {
        for (std::uint32_t& reader : cell.readers) {
            if (reader != 0 && !clock.covers(moment_of(reader)))
                conflict("writes what is read by", operation, moment_of(reader), offset);
            reader = 0;
        }
        cell.writer = operation.bits;
        return;
    }
    for (std::uint32_t& reader : cell.readers)
        if (reader == operation.bits) return;
    for (std::uint32_t& reader : cell.readers)
        if (reader == 0 || clock.covers(moment_of(reader))) {
            reader = operation.bits;
            return;
        }
    cell.readers[0] = operation.bits;
}

void Shadow::access(Moment operation, const Clock& clock, const void* begin, std::size_t bytes, Access access) {
    const auto* at = static_cast<const std::byte*>(begin);
    if (bytes == 0 || at < base_ || at + bytes > base_ + pages_.size() * page_bytes) return;
    visit(begin, bytes, [&](Cell& cell, std::size_t offset) { touch(cell, operation, clock, offset, access); });
}

}  // namespace gpas::virtual_gpu
