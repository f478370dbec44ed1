// The native engine on a GPU beside what the GPU can do: a random model of 7 billion parameters'
// shape in bf16 on the first one.
//
// New tokens are bound by reading all weights from the device's memory once each, a prompt by
// products of matrices; both bounds are measured here, not taken from a data sheet. Where there is
// no GPU nothing is measured, which the line and the exit code say. `--cpu 1` runs the same on the
// processor, to try the benchmark itself: with one layer and small vectors, for instance.
//
// Usage: gpu [--layers 32] [--prompt 512] [--new_tokens 128] [--repetitions 5] [--cpu 1]
#include "bench/device_rates.h"
#include "bench/native_engine.h"
#include "bench/options.h"
#include "bench/report.h"
#include "worker/engine/native/cpu_backend.h"
#include "worker/engine/native/cuda_backend.h"
#include "worker/engine/native/cuda_library.h"

#include <kj/debug.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace muster::bench {
namespace {

sample::Llama shape(uint32_t layers) {
  return {.hidden = 4096,
          .layers = layers,
          .heads = 32,
          .kvHeads = 32,
          .intermediate = 11008,
          .vocab = 32000,
          .dtype = sample::Dtype::BF16};
}

// Empty, with a word on stderr, where there is no GPU.
MakeBackend firstGpu() {
  auto library =
      worker::CudaLibrary::load(MUSTER_SOURCE_DIR "/build/release/bin/libmuster_cuda.so");
  if (!library) {
    std::fprintf(stderr, "gpu: %s\n", library.refusal().text.c_str());
    return {};
  }
  auto gpus = (*library)->gpus();
  if (gpus.empty()) {
    std::fprintf(stderr, "gpu: this machine has no GPU\n");
    return {};
  }
  std::fprintf(stderr, "gpu: %s\n", gpus.front().name.c_str());
  return [library = *library] { return worker::makeCudaBackend(library, 0); };
}

Rates measured(const sharding::ModelSpec& spec, const MakeBackend& makeBackend,
               const Options& options) {
  auto prompt = static_cast<uint32_t>(options.count("prompt"));
  auto newTokens = static_cast<uint32_t>(options.count("new_tokens"));
  std::vector<Rates> rates;
  withEngine(spec, 1, makeBackend, [&](worker::StepExecutor& executor) {
    measureRates(executor, prompt, 2);  // kernels and scratch memory are there afterwards
    for (size_t i = 0; i < options.count("repetitions"); ++i) {
      rates.push_back(measureRates(executor, prompt, newTokens));
    }
  });
  return medianOf(rates);
}

int run(const Options& options) {
  Report report("gpu");
  report.budget("decode_bound_ratio", ">= 0.7").budget("prompt_rate_ratio", ">= 0.5");
  MakeBackend makeBackend = [] { return worker::makeCpuBackend(); };
  if (options.count("cpu") == 0) makeBackend = firstGpu();
  if (!makeBackend) return report.print();
  double memory = 0;
  double matrix = 0;
  {
    auto backend = makeBackend();
    memory = deviceMemoryRate(*backend, options.count("vector"));
    matrix = deviceMatrixRate(*backend, static_cast<uint32_t>(options.count("matrix")));
  }
  auto spec = specOf(shape(static_cast<uint32_t>(options.count("layers"))), Dtype::BF16);
  Rates rates = measured(spec, makeBackend, options);
  // For each token each weight but the embedding's is read, two bytes, and is one product and one
  // sum.
  double operations = bytesPerToken(spec);
  report.figure("decode_tok_s", rates.decode).figure("prompt_tok_s", rates.prompt);
  report.figure("memory_gb_s", memory / 1e9).figure("matrix_tflop_s", matrix / 1e12);
  report.figure("decode_bound_ratio", rates.decode * bytesPerToken(spec) / memory);
  report.figure("prompt_rate_ratio", rates.prompt * operations / matrix);
  return report.print();
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  using namespace muster::bench;  // NOLINT(google-build-using-namespace): a main of its own
  return run(Options(argc, argv,
                     {{"layers", 32},
                      {"prompt", 512},
                      {"new_tokens", 128},
                      {"repetitions", 5},
                      {"vector", 1 << 28},
                      {"matrix", 8192},
                      {"cpu", 0}}));
}
