// The functions of cuBLASLt that gpas calls, from the library that is opened when a GPU is first used.
#pragma once

#include <cublasLt.h>

namespace gpas::cuda {

// Pointers to cuBLASLt's functions, under their own names.
struct CublasLt {
    decltype(&::cublasLtCreate) cublasLtCreate;
    decltype(&::cublasLtDestroy) cublasLtDestroy;
    decltype(&::cublasLtGetStatusString) cublasLtGetStatusString;
    decltype(&::cublasLtGetVersion) cublasLtGetVersion;
    decltype(&::cublasLtMatmul) cublasLtMatmul;
    decltype(&::cublasLtMatmulAlgoGetHeuristic) cublasLtMatmulAlgoGetHeuristic;
    decltype(&::cublasLtMatmulDescCreate) cublasLtMatmulDescCreate;
    decltype(&::cublasLtMatmulDescDestroy) cublasLtMatmulDescDestroy;
    decltype(&::cublasLtMatmulDescSetAttribute) cublasLtMatmulDescSetAttribute;
    decltype(&::cublasLtMatmulPreferenceCreate) cublasLtMatmulPreferenceCreate;
    decltype(&::cublasLtMatmulPreferenceDestroy) cublasLtMatmulPreferenceDestroy;
    decltype(&::cublasLtMatmulPreferenceSetAttribute) cublasLtMatmulPreferenceSetAttribute;
    decltype(&::cublasLtMatrixLayoutCreate) cublasLtMatrixLayoutCreate;
    decltype(&::cublasLtMatrixLayoutDestroy) cublasLtMatrixLayoutDestroy;
};

// Error(environment) if cuBLASLt is not there: says where it was looked for and what to install. Thread-safe.
CublasLt load_cublaslt();

}  // namespace gpas::cuda
