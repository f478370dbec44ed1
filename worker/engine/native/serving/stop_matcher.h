// Ends a text at the first of some strings, wherever the pieces it comes in are cut.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster::worker {

class StopMatcher {
 public:
  // `stops`: none empty.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // What can be shown now. What may be the beginning of a stop string stays back; once one is whole
  // the text before it is the last, and stopped() is true.
  std::string add(std::string_view text);
  // What has stayed back; nothing when stopped.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  size_t heldBack() const;

  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace muster::worker
