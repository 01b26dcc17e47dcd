#include "kernels/cuda/cublaslt.hpp"

#include "base/shared_library.hpp"
#include "kernels/cuda/toolkit_directories.hpp"

#include <fmt/format.h>

namespace gpas::cuda {

CublasLt load_cublaslt() {
    const SharedLibrary library(
        {.name = "cuBLASLt",
         .file = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR),
         .directories = toolkit_directories(),
         .purpose = "matrix products on a GPU",
         .advice = fmt::format("Install the cuBLAS library of CUDA {0} (NVIDIA's package "
                               "libcublas-{0}-0, or nvidia-cublas from PyPI), put its directory "
                               "into LD_LIBRARY_PATH, or set compute.device to cpu",
                               CUBLAS_VER_MAJOR)});
    CublasLt table{};
    library.find(table.cublasLtCreate, "cublasLtCreate");
    library.find(table.cublasLtDestroy, "cublasLtDestroy");
    library.find(table.cublasLtGetStatusString, "cublasLtGetStatusString");
    library.find(table.cublasLtGetVersion, "cublasLtGetVersion");
    library.find(table.cublasLtMatmul, "cublasLtMatmul");
    library.find(table.cublasLtMatmulAlgoGetHeuristic, "cublasLtMatmulAlgoGetHeuristic");
    library.find(table.cublasLtMatmulDescCreate, "cublasLtMatmulDescCreate");
    library.find(table.cublasLtMatmulDescDestroy, "cublasLtMatmulDescDestroy");
    library.find(table.cublasLtMatmulDescSetAttribute, "cublasLtMatmulDescSetAttribute");
    library.find(table.cublasLtMatmulPreferenceCreate, "cublasLtMatmulPreferenceCreate");
    library.find(table.cublasLtMatmulPreferenceDestroy, "cublasLtMatmulPreferenceDestroy");
    library.find(table.cublasLtMatmulPreferenceSetAttribute, "cublasLtMatmulPreferenceSetAttribute");
    library.find(table.cublasLtMatrixLayoutCreate, "cublasLtMatrixLayoutCreate");
    library.find(table.cublasLtMatrixLayoutDestroy, "cublasLtMatrixLayoutDestroy");
    return table;
}

}  // namespace gpas::cuda
