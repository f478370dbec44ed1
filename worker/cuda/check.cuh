// Turns the status codes of CUDA, cuBLAS and NCCL into exceptions, and exceptions into false.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace muster::cuda {

// What the last failed call of this thread said.
inline std::string& errorText() {
  thread_local std::string text;
  return text;
}

inline void cudaCheck(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

inline void cublasCheck(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string(what) + ": " + cublasGetStatusString(status));
}

// Runs `body` at the C boundary, which no exception may cross.
template <class Body>
bool guarded(Body body) {
  try {
    body();
    return true;
  } catch (const std::exception& error) {
    errorText() = error.what();
    return false;
  }
}

}  // namespace muster::cuda
