#include "engine/guard/rehearsed_numbers.hpp"

#include "base/error.hpp"
#include "kernels/ops.hpp"

#include <bit>
#include <cmath>

namespace gpas {

void RehearsedNumbers::before_step(StepNumber step) {
    factor_ = 1.0;
    if (rehearsal_ == nullptr) return;
    const auto wants = [&](Rehearsal::Action action) { return rehearsal_->wants(action, board_, step.from_1); };
    if (wants(Rehearsal::Action::nan)) factor_ = std::nan("");
    if (wants(Rehearsal::Action::spike) || wants(Rehearsal::Action::transient)) factor_ = rehearsal_->factor();
    if (wants(Rehearsal::Action::flip)) flip_a_bit();
    if (wants(Rehearsal::Action::set)) set_a_weight(rehearsal_->tensor(), float(rehearsal_->factor()));
}

void RehearsedNumbers::before_recomputation() {
    if (rehearsal_ != nullptr && rehearsal_->action() == Rehearsal::Action::transient) factor_ = 1.0;
}

void RehearsedNumbers::flip_a_bit() {
    const Tensor weights = store_.compute(store_.specs().size() / 2);
    const Tensor first = weights.view({weights.elements()}).slice(0, 1);
    std::uint32_t bits = 0;
    const Tensor value(&bits, first.dtype, {1});
    copy(context_, value, first);
    bits ^= 1U << (first.dtype == Dtype::bf16 ? 6 : 22);  // highest bit of the fraction
    copy(context_, first, value);
}

void RehearsedNumbers::set_a_weight(const std::string& name, float value) {
    if (!store_.contains(name))
        fail(ExitCode::usage, "GPAS_REHEARSE: rank {} has no tensor '{}'; expected one of its weights",
             board_.rank.load(), name);
    const Tensor weights = store_.compute(store_.index_of(name));
    const Tensor first = weights.view({weights.elements()}).slice(0, 1);
    std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    if (first.dtype == Dtype::bf16) bits >>= 16;
    copy(context_, first, Tensor(&bits, first.dtype, {1}));
}

}  // namespace gpas
