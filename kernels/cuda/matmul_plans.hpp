// cuBLASLt's handle and workspace, and the descriptors and algorithms of all products used so far. A Gpu owns it.
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
