// What a second rank on the same machine brings: new tokens per second of two tensor parallel ranks
// over those of one, in turns within one window. On two idle cores the second reads memory that the
// first could not; distributed-llama gains 1.29 there (f32).
#include "bench/native_engine.h"
#include "bench/options.h"
#include "bench/report.h"

using namespace muster;

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {{"repetitions", 5}});
  const auto spec = bench::benchedSpec(Dtype::F32);
  std::vector<bench::Rates> alone;
  std::vector<bench::Rates> both;
  bench::withEngine(spec, 1, [&](worker::StepExecutor& one) {
    bench::withEngine(spec, 2, [&](worker::StepExecutor& two) {
      bench::measureRates(one, 16, 2);
      bench::measureRates(two, 16, 2);
      for (size_t i = 0; i < options.count("repetitions"); ++i) {
        alone.push_back(bench::measureRates(one, 128, 32));
        both.push_back(bench::measureRates(two, 128, 32));
      }
    });
  });
  const auto one = bench::medianOf(alone);
  const auto two = bench::medianOf(both);
  bench::Report report("engine-tp2");
  report.figure("decode_gain", two.decode / one.decode);
  report.figure("prompt_gain", two.prompt / one.prompt);
  report.figure("one_decode_tok_s", one.decode).figure("two_decode_tok_s", two.decode);
  // llama.cpp: f16, -sm tensor over its RPC, 38.5 of 87.3 tokens/s.
  report.figure("peer.distributed_llama_f32_decode_gain", 1.29)
      .figure("peer.llama_cpp_tensor_f16_decode_gain", 0.44);
  report.budget("decode_gain", ">= 1.2");
  return report.print();
}
