#include "bench/device_rates.h"

#include "base/clock.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <utility>

namespace muster::bench {
namespace {

using worker::Backend;
using worker::DeviceBuffer;

constexpr int REPETITIONS = 5;
constexpr uint32_t ROW = 4096;  // floats

// Operations return before they are done; what is read back is there only afterwards.
void finish(Backend& backend, const DeviceBuffer& result) {
  std::array<std::byte, 64> some{};
  backend.download(some, result.memory());
}

// Seconds of the quickest of some repetitions, after one that does not count.
double quickest(Backend& backend, const DeviceBuffer& result, const std::function<void()>& work) {
  SystemClock clock;
  double best = 0;
  for (int i = 0; i <= REPETITIONS; ++i) {
    SteadyTime start = clock.steadyNow();
    work();
    finish(backend, result);
    double took = static_cast<double>((clock.steadyNow() - start).nanos) / 1e9;
    if (i > 0) best = i == 1 ? took : std::min(best, took);
  }
  return best;
}

}  // namespace

double deviceMemoryRate(Backend& backend, uint64_t elements) {
  auto rows = static_cast<uint32_t>(elements / ROW);
  const uint64_t bytes = uint64_t{rows} * ROW * sizeof(float);
  DeviceBuffer sum(backend, bytes);
  DeviceBuffer term(backend, bytes);
  double seconds = quickest(backend, sum, [&] {
    backend.add({sum.floats(), rows, ROW}, {term.floats(), rows, ROW}, nullptr);
  });
  return 3 * static_cast<double>(bytes) / seconds;
}

double deviceMatrixRate(Backend& backend, uint32_t width) {
  const uint64_t elements = uint64_t{width} * width;
  auto weights = backend.makeMatrix({.rows = width,
                                     .columns = width,
                                     .dtype = Dtype::BF16,
                                     .bytes = worker::AlignedBytes(elements * 2)});
  DeviceBuffer in(backend, elements * sizeof(float));
  DeviceBuffer out(backend, elements * sizeof(float));
  double seconds = quickest(backend, out, [&] {
    backend.multiply(*weights, {in.floats(), width, width}, nullptr, {out.floats(), width, width});
  });
  return 2 * static_cast<double>(elements) * width / seconds;
}

}  // namespace muster::bench
