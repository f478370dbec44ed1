// What a bench has measured, as text and as JSON.
#pragma once

#include "cli/json_view.h"

#include <cstdint>
#include <string>
#include <vector>

namespace muster::cli {

struct BenchResult {
  uint64_t answered = 0;
  uint64_t failed = 0;
  uint64_t tokens = 0;
  double seconds = 0;
  std::string firstError;
  // Seconds, one for each.
  std::vector<double> firstToken;
  std::vector<double> interToken;
  std::vector<double> whole;
};

// The value below which `share` of the samples lie, by nearest rank; 0 without samples.
double percentile(std::vector<double> samples, double share);

std::string toText(const BenchResult& result);
Json toJson(const BenchResult& result);

}  // namespace muster::cli
