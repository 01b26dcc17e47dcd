// cuBLASLt's descriptors and chosen algorithms for the shapes met so far, its handle and its workspace. Belongs to a
// Gpu.
#pragma once

#include <memory>

namespace gpas::cuda {

class MatmulPlans {
public:
    MatmulPlans();
    ~MatmulPlans();
    MatmulPlans(const MatmulPlans&) = delete;
    MatmulPlans& operator=(const MatmulPlans&) = delete;

    struct Impl;
    Impl& impl() { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace gpas::cuda
