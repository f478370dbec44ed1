#include "gateway/sse_reader.h"

#include <utility>

namespace muster::gateway {

bool SseReader::feed(std::string_view bytes, std::vector<SseEvent>& events) {
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (line_.size() + data_.size() > EVENT_MAX) return false;
    if (end == std::string_view::npos) return true;
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r')) line_.pop_back();
    std::string line = std::exchange(line_, {});
    takeLine(line, events);
  }
  return true;
}

void SseReader::takeLine(std::string_view line, std::vector<SseEvent>& events) {
  if (line.empty()) {
    if (hasData_) events.push_back({id_, name_.empty() ? "message" : name_, data_});
    name_.clear();
    data_.clear();
    hasData_ = false;
    return;
  }
  size_t colon = line.find(':');
  if (colon == 0) return;  // a comment
  std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "id") id_ = value;
  if (field == "event") name_ = value;
  if (field != "data") return;
  if (hasData_) data_ += '\n';
  data_ += value;
  hasData_ = true;
}

}  // namespace muster::gateway
