#include "kernels/backend.hpp"

#include "kernels/update_decision.hpp"

#include <cstring>

namespace gpas::cpu {

void step_sums(Context&, Tensor sums, Tensor own, Tensor loss, Tensor squares, const StepTerms& terms) {
    write_step_sums(sums.as<double>(), own.as<double>(), loss.as<double>(), squares.as<double>(), terms);
}

void decide_update(Context&, Tensor decision, Tensor sums, const UpdateRule& rule) {
    const UpdateDecision made = decision_of(sums.as<double>(), rule);
    std::memcpy(decision.as<double>(), &made, sizeof made);
}

}  // namespace gpas::cpu
