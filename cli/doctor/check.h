// What `muster doctor` finds: one line per thing that it looked at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster::cli {

enum class Verdict : uint8_t { OK, WARNING, FAILED };

struct Check {
  Verdict verdict = Verdict::OK;
  std::string subject;  // "certificate", "coordinator m2"
  std::string text;     // what was seen, and what was wanted
  std::string fix;      // a command; empty when there is nothing to do
};

using Checks = std::vector<Check>;

}  // namespace muster::cli
