// What a process says in its log, read as it comes.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string>

namespace muster::bench {

class LogWatch {
 public:
  explicit LogWatch(std::string path) : path_(std::move(path)) {}

  // The newest line in which the process said `text` about `epoch`; nothing yet: empty.
  std::string said(const std::string& text, uint64_t epoch) {
    readOn();
    auto found = lines_.find({text, epoch});
    return found == lines_.end() ? "" : found->second;
  }
  // The highest epoch about which it said `text`; 0: none.
  uint64_t highest(const std::string& text) {
    readOn();
    uint64_t highest = 0;
    for (const auto& [key, line] : lines_) {
      if (key.first == text) highest = std::max(highest, key.second);
    }
    return highest;
  }
  // Forgets what was said so far.
  void forget() {
    readOn();
    lines_.clear();
  }

  // The whole number of "name=123" in a line.
  static std::optional<int64_t> field(const std::string& line, const std::string& name) {
    auto at = line.find(" " + name + "=");
    if (at == std::string::npos) return std::nullopt;
    return std::atoll(line.c_str() + at + name.size() + 2);
  }

 private:
  static constexpr const char* TEXTS[] = {"watches the leader", "the leader is taken for dead",
                                          "elected", "serving", "takeover times"};

  void readOn() {
    std::ifstream file(path_);
    file.seekg(static_cast<std::streamoff>(read_));
    std::string line;
    while (std::getline(file, line) && !file.eof()) {
      read_ += line.size() + 1;
      take(line);
    }
  }
  void take(const std::string& line) {
    auto epoch = field(line, "epoch");
    if (!epoch) return;
    for (const char* text : TEXTS) {
      std::string marked = std::string(" ") + text + " ";
      if (line.find(marked) == std::string::npos) continue;
      lines_[{text, static_cast<uint64_t>(*epoch)}] = line;
      return;
    }
  }

  std::string path_;
  size_t read_ = 0;
  std::map<std::pair<std::string, uint64_t>, std::string> lines_;
};

}  // namespace muster::bench
