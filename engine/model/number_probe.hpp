// Where in a forward pass the first NaN or Inf arises. Used to explain bad numbers, after the step in which they were
// found: it reads every activation.
#pragma once

#include "kernels/ops.hpp"

#include <cstdint>
#include <string>

namespace gpas {

class NumberProbe {
public:
    // Of all that was looked at, the first place in forward order (layer, then operation) that held NaN or Inf, over
    // all micro-batches.
    struct Found {
        std::int64_t position = -1;  // < 0: none; the same number for the same place on every rank
        std::int64_t micro_batch = 0;
        std::string text;  // "the output of layers.3.mlp.gate_up is inf at element 17"
    };

    void set_micro_batch(std::int64_t micro_batch) { micro_batch_ = micro_batch; }
    // The pass has come to this layer: -1: the embedding; the number of layers: final norm and head. prefix: of names.
    void enter(std::int64_t layer, std::string prefix);
    // x: the output of the operation of this name, any floating dtype. Called in the same order on every rank.
    void look(Context& context, const char* name, Tensor x);

    const Found& found() const { return found_; }

private:
    std::int64_t layer_ = -1;
    std::string prefix_;
    std::int64_t micro_batch_ = 0;
    std::int64_t looks_ = 0;  // in this layer
    Found found_;
};

// "0.25", "inf", and "nan" whatever its sign bit.
std::string number_text(double number);
// "nan at element 17" of x [any shape]; empty if all elements are finite. The element is counted from `first`.
std::string bad_element_text(Context& context, Tensor x, std::int64_t first = 0);

}  // namespace gpas
