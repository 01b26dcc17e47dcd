#include "engine/model/number_probe.hpp"

#include "base/error.hpp"

#include <bit>
#include <cmath>

namespace gpas {
namespace {

constexpr std::int64_t most_looks = 64;  // per layer

float value_at(Context& context, Tensor x, std::int64_t element) {
    const Tensor place = x.view({x.elements()}).slice(element, element + 1);
    if (x.dtype == Dtype::fp32) {
        float value = 0.0F;
        copy(context, Tensor(&value, Dtype::fp32, {1}), place);
        return value;
    }
    std::uint16_t bits = 0;
    copy(context, Tensor(&bits, x.dtype, {1}), place);
    return std::bit_cast<float>(std::uint32_t(bits) << 16);  // bf16
}

}  // namespace

std::string number_text(double number) { return std::isnan(number) ? "nan" : fmt::format("{}", number); }

std::string bad_element_text(Context& context, Tensor x, std::int64_t first) {
    const std::int64_t element = first_non_finite(context, x);
    if (element < 0) return {};
    return fmt::format("{} at element {}", number_text(double(value_at(context, x, element))), first + element);
}

void NumberProbe::enter(std::int64_t layer, std::string prefix) {
    layer_ = layer;
    prefix_ = std::move(prefix);
    looks_ = 0;
}

void NumberProbe::look(Context& context, const char* name, Tensor x) {
    const std::int64_t position = (layer_ + 1) * most_looks + std::min(looks_++, most_looks - 1);
    if (found_.position >= 0 && found_.position <= position) return;
    const std::string bad = bad_element_text(context, x);
    if (bad.empty()) return;
    found_ = {.position = position,
              .micro_batch = micro_batch_,
              .text = fmt::format("the output of {}{} is {}", prefix_, name, bad)};
}

}  // namespace gpas
