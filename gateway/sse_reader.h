// Server-sent events out of bytes as they come. Pure. Source: HTML standard, section 9.2.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace muster::gateway {

struct SseEvent {
  std::string id;    // the last one that the stream gave
  std::string name;  // "message" where none is given
  std::string data;
  bool operator==(const SseEvent&) const = default;
};

class SseReader {
 public:
  // Of one event; a stream with a longer one is broken.
  static constexpr size_t EVENT_MAX = size_t{256} << 20;

  // Adds the events that the new bytes complete. False when the stream is broken.
  bool feed(std::string_view bytes, std::vector<SseEvent>& events);

 private:
  void takeLine(std::string_view line, std::vector<SseEvent>& events);

  std::string line_;  // not ended yet
  std::string id_;
  std::string name_;
  std::string data_;
  bool hasData_ = false;
};

}  // namespace muster::gateway
