// Finds the first NaN or Inf of a forward pass. It reads every activation, so it runs only when a step had bad numbers
// and is computed again to explain them.
#pragma once

#include "kernels/ops.hpp"

#include <cstdint>
#include <string>

namespace gpas {

class NumberProbe {
public:
    // The first output in forward order (layer, then operation) that held NaN or Inf, over all micro-batches.
    struct Found {
        std::int64_t position = -1;  // of the output in forward order, comparable between ranks; < 0: nothing found
        std::int64_t micro_batch = 0;
        std::string text;  // "the output of layers.3.mlp.gate_up is inf at element 17"
    };

    void set_micro_batch(std::int64_t micro_batch) { micro_batch_ = micro_batch; }
    // The forward pass enters this layer. -1: the embedding; the number of layers: final norm and head. prefix: put
    // before the names of the layer's outputs ("layers.3.").
    void enter(std::int64_t layer, std::string prefix);
    // Checks x, the output of the operation `name`, any shape and floating dtype. Every rank must make the same calls
    // in the same order.
    void look(Context& context, const char* name, Tensor x);

    const Found& found() const { return found_; }

private:
    std::int64_t layer_ = -1;
    std::string prefix_;
    std::int64_t micro_batch_ = 0;
    std::int64_t looks_ = 0;  // calls of look() in this layer
    Found found_;
};

// "0.25", "inf"; "nan" for either sign bit.
std::string number_text(double number);
// "nan at element 17": the first bad element of x [any shape]; empty if all elements are finite. The index of x's first
// element is `first`.
std::string bad_element_text(Context& context, Tensor x, std::int64_t first = 0);

}  // namespace gpas
