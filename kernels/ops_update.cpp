#include "kernels/backend.hpp"
#include "kernels/check_shapes.hpp"
#include "kernels/ops.hpp"

namespace gpas {
namespace {

bool is_numbers(const Tensor& x, std::int64_t count) { return x && x.dtype == Dtype::fp64 && x.elements() == count; }

}  // namespace

void step_sums(Context& context, Tensor sums, Tensor own, Tensor loss, Tensor squares, const StepTerms& terms) {
    check_shapes(is_numbers(sums, 4) && is_sum(own) && is_sum(loss) && is_numbers(squares, 2), "step_sums",
                 {{"sums", sums}, {"own", own}, {"loss", loss}, {"squares", squares}});
    backend_of(context).step_sums(context, sums, own, loss, squares, terms);
}

void decide_update(Context& context, Tensor decision, Tensor sums, const UpdateRule& rule) {
    check_shapes(is_numbers(decision, update_numbers) && is_numbers(sums, 4), "decide_update",
                 {{"decision", decision}, {"sums", sums}});
    backend_of(context).decide_update(context, decision, sums, rule);
}

}  // namespace gpas
