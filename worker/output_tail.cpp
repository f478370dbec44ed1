#include "worker/output_tail.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace muster::worker {
namespace {

constexpr uint64_t TAIL_BYTES = 256 << 10;
constexpr uint64_t PIECE_BYTES = 1 << 20;
constexpr size_t LINE_BYTES_MAX = 4096;
constexpr size_t LINES_BEFORE = 2;
constexpr size_t LINES_OF_ERROR = 7;
constexpr size_t ERROR_BYTES_MAX = 2048;

// Up to `bytes` of the file from `offset`; empty when it cannot be read.
std::string readAt(const std::string& path, uint64_t offset, uint64_t bytes) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  std::string content(bytes, '\0');
  ssize_t got = 0;
  do {
    got = ::pread(fd, content.data(), bytes, static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  ::close(fd);
  content.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return content;
}

uint64_t sizeOf(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

// Splits into lines; what follows the last newline stays in `rest`.
std::vector<std::string> splitLines(std::string_view content, std::string& rest) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end; (end = content.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
    std::string line = rest + std::string(content.substr(begin, end - begin));
    rest.clear();
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line.substr(0, LINE_BYTES_MAX));
  }
  rest += content.substr(begin);
  if (rest.size() > LINE_BYTES_MAX) {  // a program that prints no newline must not grow us
    lines.push_back(rest.substr(0, LINE_BYTES_MAX));
    rest.clear();
  }
  return lines;
}

}  // namespace

std::vector<std::string> lastLines(const std::string& path, uint32_t linesMax) {
  uint64_t size = sizeOf(path);
  uint64_t begin = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
  std::string rest;
  auto lines = splitLines(readAt(path, begin, TAIL_BYTES), rest);
  if (!rest.empty()) lines.push_back(rest);
  if (begin > 0 && !lines.empty()) lines.erase(lines.begin());  // it was cut in the middle
  if (lines.size() > linesMax) lines.erase(lines.begin(), lines.end() - linesMax);
  return lines;
}

std::vector<std::string> OutputTail::newLines() {
  std::string content = readAt(path_, offset_, PIECE_BYTES);
  offset_ += content.size();
  return splitLines(content, partial_);
}

void FirstError::take(const std::vector<std::string>& lines) {
  for (const auto& line : lines) {
    if (!found_ && looksLikeError(line)) {
      found_ = true;
      if (context_.size() > LINES_BEFORE) {
        context_.erase(context_.begin(), context_.end() - LINES_BEFORE);
      }
    }
    if (found_ && context_.size() >= LINES_BEFORE + LINES_OF_ERROR) return;
    context_.push_back(line);
    if (!found_ && context_.size() > LINES_OF_ERROR) context_.erase(context_.begin());
  }
}

std::string FirstError::text() const {
  std::string text;
  for (const auto& line : context_) text += (text.empty() ? "" : "\n") + line;
  return text.substr(0, ERROR_BYTES_MAX);
}

bool looksLikeError(const std::string& line) {
  static constexpr std::array<std::string_view, 9> WORDS = {
      "error",     "exception", "traceback",          "fatal",  "out of memory",
      "terminate", "panic",     "segmentation fault", "cannot "};
  std::string lower(line.size(), '\0');
  std::transform(line.begin(), line.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(WORDS.begin(), WORDS.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

}  // namespace muster::worker
