#include "parallel/board/rank_progress.hpp"

namespace gpas {

void RankProgress::enter(Phase phase, std::int64_t step, std::int64_t micro_batch) {
    mark_progress(board_);
    board_.phase.store(phase, std::memory_order_relaxed);
    set_place(step, micro_batch);
    if (rehearsal_) rehearsal_->at(board_);
}

void RankProgress::enter(Phase phase) { enter(phase, board_.step.load(std::memory_order_relaxed)); }

void RankProgress::set_place(std::int64_t step, std::int64_t micro_batch) {
    board_.step.store(step, std::memory_order_relaxed);
    board_.micro_batch.store(micro_batch, std::memory_order_relaxed);
}

void RankProgress::wait(std::int64_t call) {
    mark_progress(board_);
    board_.waiting.store(call, std::memory_order_relaxed);
    if (rehearsal_) rehearsal_->at(board_);
}

void RankProgress::waited() {
    mark_progress(board_);
    board_.waiting.store(0, std::memory_order_relaxed);
}

}  // namespace gpas
