// What the CPU backend's matrix products (oneDNN) keep between two calls.
#pragma once

#include <memory>

namespace gpas::cpu {

// oneDNN's compiled products for all shapes used so far, and their work memory per thread. A Context owns it.
class MatmulCache {
public:
    MatmulCache();
    ~MatmulCache();
    MatmulCache(const MatmulCache&) = delete;
    MatmulCache& operator=(const MatmulCache&) = delete;

    struct Impl;
    Impl& impl() { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

// Whether oneDNN has bf16 products for this processor (AVX-512 and later). If not, they are computed in fp32.
// Thread-safe.
bool has_bf16_matmul();

}  // namespace gpas::cpu
