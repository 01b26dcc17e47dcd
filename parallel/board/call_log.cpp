#include "parallel/board/call_log.hpp"

#include "base/fixed_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace gpas {
namespace {

// How a record is written and read: a seqlock
//
// The training thread writes records at the rate of its calls. It must never wait for a reader: a reader may be another
// process, which may be stopped or killed at any time, so a lock in shared memory could be held indefinitely. Therefore
// readers copy a record without a lock, and check afterwards that the writer did not change it meanwhile.
//
// Writer: begin() on the training thread, and no other code, fills a record.
//   1. number = 0: the record is invalid from now on.
//   2. Write all other fields.
//   3. number = n: the record is valid and holds call n.
//   4. call_count = n.
// Reader: read_call(), on any thread of any process of the node.
//   1. number == n? If not, the record does not hold call n: it is being written, or a later call has overwritten it.
//   2. Copy the fields.
//   3. number == n again? If not, the writer began to overwrite the record during the copy: discard the copy.
// Call numbers only grow, so a record that holds n in both tests has held call n between them. (A seqlock with an even
// and an odd sequence number needs a retry; here an overwritten call is gone, so the reader reports it as such.)
//
// Memory orders:
// - Step 3 of the writer is a release store and step 1 of the reader is an acquire load (the implicit load of an atomic
//   is sequentially consistent): a reader that sees n sees all fields of call n.
// - Step 1 of the writer must become visible before the fields change. A release store would not do, since it orders
//   only what precedes it. The acquire half of the exchange keeps the field writes of step 2 behind it.
// - Step 3 of the reader must be performed after the copy. Compilers do not move the copy past a sequentially
//   consistent load, and x86-64 performs loads in order.
// - call_count is released after number, so read_calls() never asks for a call that was not yet written.
// On x86-64 these orders suffice. The C++ memory model requires more: relaxed atomic fields, a release fence after step
// 1 of the writer, and an acquire fence before step 3 of the reader. A CPU with weak ordering, such as aarch64, needs
// the two fences: without them a copy could mix two calls. Such a copy could make a report wrong, but cause no read out
// of bounds: text_in() stops at the end of each array.
//
// end_seconds is atomic, and not part of the seqlock: end() sets it at any time, from any thread. The test of number in
// end() drops the end of a call that has already been overwritten.

CallRecord& place_of(RankBoard& board, std::int64_t number) {
    return board.calls[std::size_t(number) % RankBoard::calls_kept];
}

}  // namespace

std::string text_of(const CommCall& call) {
    std::string text = fmt::format("{} of {}", call.op, call.what);
    if (!call.group.empty()) text += fmt::format(" over {}", call.group);
    std::string details = call.data;
    const auto add = [&](const char* name, std::int64_t number) {
        if (number >= 0) details += fmt::format("{}{} {}", details.empty() ? "" : ", ", name, number);
    };
    add("step", call.step);
    add("micro-batch", call.micro_batch);
    return details.empty() ? text : fmt::format("{} ({})", text, details);
}

CommCall read_call(const RankBoard& board, std::int64_t number) {
    const CallRecord& record = board.calls[std::size_t(number) % RankBoard::calls_kept];
    CommCall call;
    if (record.number == number)
        call = {.number = number,
                .group = text_in(record.group),
                .op = text_in(record.op),
                .what = text_in(record.what),
                .data = text_in(record.data),
                .step = record.step,
                .micro_batch = record.micro_batch,
                .start_seconds = record.start_seconds,
                .end_seconds = record.end_seconds};
    // The second test of the seqlock: the copy may be of a record that the writer was changing.
    if (record.number != number) return {.number = number, .op = "a call", .what = "long ago"};
    return call;
}

std::vector<CommCall> read_calls(const RankBoard& board) {
    std::vector<CommCall> calls;
    const std::int64_t count = board.call_count;
    for (std::int64_t n = std::max<std::int64_t>(1, count + 1 - std::int64_t(RankBoard::calls_kept)); n <= count; ++n)
        calls.push_back(read_call(board, n));
    return calls;
}

std::int64_t CallLog::begin(const std::string& group, const char* op, const char* what, const std::string& data) {
    const std::int64_t number = board_.call_count.load(std::memory_order_relaxed) + 1;
    CallRecord& record = place_of(board_, number);
    record.number.exchange(0, std::memory_order_acq_rel);  // invalid before any field changes: see the seqlock above
    record.step = board_.step.load(std::memory_order_relaxed);
    record.micro_batch = board_.micro_batch.load(std::memory_order_relaxed);
    record.start_seconds = mark_progress(board_);
    record.end_seconds.store(-1.0, std::memory_order_relaxed);
    copy_text(record.group, group);
    copy_text(record.op, op);
    copy_text(record.what, what);
    copy_text(record.data, data);
    record.number.store(number, std::memory_order_release);
    board_.call_count.store(number, std::memory_order_release);
    return number;
}

void CallLog::end(std::int64_t number) {
    CallRecord& record = place_of(board_, number);
    if (record.number.load(std::memory_order_relaxed) == number)
        record.end_seconds.store(mark_progress(board_), std::memory_order_relaxed);
}

std::filesystem::path CallLog::write(const std::filesystem::path& directory, int rank) const {
    if (directory.empty()) return {};
    const std::filesystem::path path = directory / fmt::format("calls_rank_{}.txt", rank);
    std::ofstream file(path);
    for (const CommCall& call : last())
        file << fmt::format("{:>8} {:>12.6f} {} {}\n", call.number, call.start_seconds,
                            call.end_seconds < 0 ? "  unfinished" : fmt::format("{:>12.6f}", call.end_seconds),
                            text_of(call));
    return file.flush() ? path : std::filesystem::path{};
}

}  // namespace gpas
