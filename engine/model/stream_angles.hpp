// How far each layer turns the residual stream: the angular distance between the stream before and after the layer,
//   d_l = 1/n Σ_t arccos( h_l[t] · h_{l+1}[t] / (|h_l[t]| |h_{l+1}[t]|) ) / π,   0 (same direction) to 1 (opposite)
// where h_l [T,C] is the stream that layer l reads, with its gate applied, and t runs over the n tokens that have a
// label. The measure is that of Gromov et al. (arXiv 2403.17887), who take the last token of each sample only. A zero
// vector counts as orthogonal (1/2).
#pragma once

#include "engine/model/workspace.hpp"

#include <cstdint>
#include <vector>

namespace gpas {

// Adds up the distances in forward passes. Every call copies the stream to the host, and so waits for a GPU; the dot
// products are computed there, in fp64. Not thread-safe.
class StreamAngles {
public:
    // layers: of the whole model, also if this rank has only a part of the layers.
    explicit StreamAngles(std::int64_t layers) : sums_(std::size_t(layers)) {}

    // begin() with the stream that enters a part of the model, then after() with the stream after each of its layers.
    // h.x [R,C], fp32 or bf16: row r is token first_row + r of the micro-batch. labels [T] int32, -1: the token is
    // not counted. Rows from T on are padding of sequence parallelism.
    void begin(Context& context, const ResidualStream& h, Tensor labels, std::int64_t first_row);
    // layer: from 0, of the whole model.
    void after(Context& context, std::int64_t layer, const ResidualStream& h);

    struct Sum {
        double distance = 0.0;  // Σ arccos(…)/π
        std::int64_t tokens = 0;
    };
    // Per layer, over this rank's rows of all passes.
    const std::vector<Sum>& sums() const { return sums_; }

private:
    std::vector<Sum> sums_;
    std::vector<std::int64_t> counted_;  // the rows whose tokens count
    std::vector<float> before_;          // [R,C] the stream before the next layer
};

}  // namespace gpas
