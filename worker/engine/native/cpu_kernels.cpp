#include "worker/engine/native/cpu_kernels.h"

#include <vector>

namespace muster::worker {
namespace {

std::vector<const CpuKernels*> findRunnable() {
  std::vector<const CpuKernels*> found{&plainKernels()};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    found.push_back(&avx2Kernels());
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      found.push_back(&avx512Kernels());
    }
  }
#endif
  return found;
}

}  // namespace

const CpuKernels* const* runnableKernels(size_t& count) {
  static const std::vector<const CpuKernels*> FOUND = findRunnable();
  count = FOUND.size();
  return FOUND.data();
}

}  // namespace muster::worker
