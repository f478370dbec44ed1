#include "cli/commands/bench_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace muster::cli {
namespace {

std::string millis(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1fms", seconds * 1000);
  return text.data();
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 1, ' ');
}

std::string lineOf(const std::string& name, const std::vector<double>& samples) {
  std::string line = padded(name, 13);
  for (double share : {0.5, 0.95, 0.99, 1.0}) {
    line += padded(samples.empty() ? "-" : millis(percentile(samples, share)), 12);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

Json percentilesOf(const std::vector<double>& samples) {
  return {{"p50", percentile(samples, 0.5)},
          {"p95", percentile(samples, 0.95)},
          {"p99", percentile(samples, 0.99)},
          {"max", percentile(samples, 1)}};
}

std::string rate(double count, double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", seconds > 0 ? count / seconds : 0);
  return text.data();
}

}  // namespace

double percentile(std::vector<double> samples, double share) {
  if (samples.empty()) return 0;
  std::ranges::sort(samples);
  auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(samples.size())));
  return samples[std::clamp<size_t>(rank, 1, samples.size()) - 1];
}

std::string toText(const BenchResult& result) {
  std::string text = std::to_string(result.answered) + " answered, " +
                     std::to_string(result.failed) + " failed; " +
                     rate(static_cast<double>(result.answered), result.seconds) + " requests/s, " +
                     rate(static_cast<double>(result.tokens), result.seconds) + " tokens/s\n";
  if (!result.firstError.empty()) text += "first error: " + result.firstError + "\n";
  text += "             P50         P95         P99         MAX\n";
  return text + lineOf("first token", result.firstToken) +
         lineOf("inter-token", result.interToken) + lineOf("request", result.whole);
}

Json toJson(const BenchResult& result) {
  double seconds = result.seconds > 0 ? result.seconds : 1;
  return {{"answered", result.answered},
          {"failed", result.failed},
          {"first_error", result.firstError},
          {"seconds", result.seconds},
          {"requests_per_s", static_cast<double>(result.answered) / seconds},
          {"tokens_per_s", static_cast<double>(result.tokens) / seconds},
          {"ttft_s", percentilesOf(result.firstToken)},
          {"itl_s", percentilesOf(result.interToken)},
          {"e2e_s", percentilesOf(result.whole)}};
}

}  // namespace muster::cli
