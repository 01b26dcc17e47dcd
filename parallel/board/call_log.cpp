#include "parallel/board/call_log.hpp"

#include "base/fixed_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
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
//   1. number = 0 (relaxed): the record is invalid from now on.
//   2. Store end_seconds and all words (each a release store).
//   3. number = n (release): the record is valid and holds call n.
//   4. call_count = n (release).
// Reader: read_call(), on any thread of any process of the node.
//   1. number == n (acquire)? If not, the record does not hold call n: it is being written, or a later call has
//      overwritten it.
//   2. Load end_seconds and all words (each an acquire load).
//   3. number == n again (relaxed)? If not, the writer began to overwrite the record during the copy: discard the copy.
// Call numbers only grow, so a record that holds n in both tests has held call n between them. (A seqlock with an even
// and an odd sequence number needs a retry; here an overwritten call is gone, so the reader reports it as such.)
//
// Why these memory orders suffice on every CPU:
// - If the reader sees n in its step 1, this acquire load synchronizes with the writer's step 3: the reader sees all
//   words of call n, or later ones.
// - If the reader loads a later word, that acquire load synchronizes with the release store of the word. The store of 0
//   in the writer's step 1 precedes it. So the reader sees 0 or a later number in its step 3, and discards the copy.
// - call_count is released after number, so read_calls() never asks for a call that was not yet written.
// This is the form of Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012), with
// acquire loads and release stores of the data instead of fences: ThreadSanitizer does not know fences. On x86-64 both
// are plain moves.
//
// end() stores end_seconds at any time, from any thread. The test of number in end() drops the end of a call that has
// already been overwritten. If begin() overwrites the record between this test and the store, the new call shows a
// wrong end; this needs calls_kept calls within that moment.

CallRecord& place_of(RankBoard& board, std::int64_t number) {
    return board.calls[std::size_t(number) % RankBoard::calls_kept];
}

void store_fields(CallRecord& record, const CallFields& fields) {
    const auto words = std::bit_cast<CallRecord::Words>(fields);
    for (std::size_t i = 0; i < words.size(); ++i) record.words[i].store(words[i], std::memory_order_release);
}

CallFields load_fields(const CallRecord& record) {
    CallRecord::Words words;
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = record.words[i].load(std::memory_order_acquire);
    return std::bit_cast<CallFields>(words);
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
    const CommCall lost{.number = number, .op = "a call", .what = "long ago"};
    const CallRecord& record = board.calls[std::size_t(number) % RankBoard::calls_kept];
    if (record.number.load(std::memory_order_acquire) != number) return lost;
    const double end_seconds = record.end_seconds.load(std::memory_order_acquire);
    const CallFields fields = load_fields(record);
    if (record.number.load(std::memory_order_relaxed) != number) return lost;
    return {.number = number,
            .group = text_in(fields.group),
            .op = text_in(fields.op),
            .what = text_in(fields.what),
            .data = text_in(fields.data),
            .step = fields.step,
            .micro_batch = fields.micro_batch,
            .start_seconds = fields.start_seconds,
            .end_seconds = end_seconds};
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
    CallFields fields{.step = board_.step.load(std::memory_order_relaxed),
                      .micro_batch = board_.micro_batch.load(std::memory_order_relaxed),
                      .start_seconds = mark_progress(board_)};
    copy_text(fields.group, group);
    copy_text(fields.op, op);
    copy_text(fields.what, what);
    copy_text(fields.data, data);
    CallRecord& record = place_of(board_, number);
    record.number.store(0, std::memory_order_relaxed);
    record.end_seconds.store(-1.0, std::memory_order_release);
    store_fields(record, fields);
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
