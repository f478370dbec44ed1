// Reads what a rank printed: the last lines for people, new lines as they come for readiness and
// first errors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker {

// The last `linesMax` lines of a file, oldest first; of a long file only the last 256 KiB are
// looked at.
std::vector<std::string> lastLines(const std::string& path, uint32_t linesMax);

// Follows a growing file from its start, in pieces of at most 1 MiB a call.
class OutputTail {
 public:
  explicit OutputTail(std::string path) : path_(std::move(path)) {}
  // Whole lines that came since the last call.
  std::vector<std::string> newLines();
  uint64_t bytesSeen() const { return offset_; }

 private:
  std::string path_;
  uint64_t offset_ = 0;
  std::string partial_;
};

// The first line that looks like an error and what led to it: up to 2 lines before, 6 after, at
// most 2 KiB. Kept while the output grows. When no line looks like one, the last lines stand for
// it.
class FirstError {
 public:
  void take(const std::vector<std::string>& lines);
  std::string text() const;
  bool found() const { return found_; }

 private:
  std::vector<std::string>
      context_;  // before the error: the last two lines; after: the error and what follows
  bool found_ = false;
};

// Whether a line of any program's output speaks of an error. Errors of CUDA, Python, C++ and shells
// do.
bool looksLikeError(const std::string& line);

}  // namespace muster::worker
