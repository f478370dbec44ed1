// Runs crash_writer with a fault of its files, to its end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace muster::support {

struct FaultyRun {
  std::vector<std::string> arguments;  // of crash_writer
  std::string folder;                  // whose files fail
  std::string fault;                   // "kill 17"; empty: none (file_fault.cpp)
};

struct FaultyEnd {
  int code = -1;  // -1: killed
  std::vector<uint64_t> acknowledged;
  std::string struck;  // "write PATH"; empty: the fault did not strike
  uint64_t calls = 0;  // that change files; 0 when it was killed
  std::string error;   // its stderr
};

// `scratch`: a folder outside the one that fails.
FaultyEnd runFaulty(const FaultyRun& run, const std::string& scratch);

}  // namespace muster::support
