// How fast one rank of the native engine computes on one thread of this CPU.
//
// Beside the rates stands how much of the weights is read per second and what a plain sum over
// memory reads: new tokens are bound by memory. Other engines on the same model and kind of machine
// (AMD EPYC, 1 thread, best of several windows that differ by a quarter): llama.cpp f32 42 and f16
// 87 new tokens/s, f16 prompts 498 tokens/s.
#include "bench/native_engine.h"
#include "bench/options.h"
#include "bench/report.h"

using namespace muster;

namespace {

std::vector<bench::Rates> repeated(Dtype dtype, const bench::Options& options) {
  std::vector<bench::Rates> rates;
  bench::withEngine(bench::benchedSpec(dtype), 1, [&](worker::StepExecutor& executor) {
    bench::measureRates(executor, 16, 2);  // pages and caches are warm afterwards
    for (size_t i = 0; i < options.count("repetitions"); ++i) {
      rates.push_back(bench::measureRates(executor, 128, 32));
    }
  });
  return rates;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"repetitions", 5}});
  const auto f32 = bench::medianOf(repeated(Dtype::F32, options));
  const double memory = bench::memoryBandwidth();
  const auto bf16 = bench::medianOf(repeated(Dtype::BF16, options));

  bench::Report report("engine");
  report.figure("f32_decode_tok_s", f32.decode).figure("bf16_decode_tok_s", bf16.decode);
  report.figure("bf16_prompt_tok_s", bf16.prompt).figure("f32_prompt_tok_s", f32.prompt);
  const auto spec = bench::benchedSpec(Dtype::F32);
  report.figure("read_gb_s", f32.decode * bench::bytesPerToken(spec) / 1e9);
  report.figure("memory_gb_s", memory / 1e9);
  report.figure("peer.llama_cpp_f32_decode_tok_s", 42.5)
      .figure("peer.llama_cpp_f16_decode_tok_s", 87.3);
  report.figure("peer.llama_cpp_f16_prompt_tok_s", 498);
  report.budget("f32_decode_tok_s", ">= 35").budget("bf16_decode_tok_s", ">= 70");
  report.budget("bf16_prompt_tok_s", ">= 400");
  return report.print();
}
