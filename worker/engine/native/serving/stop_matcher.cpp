#include "worker/engine/native/serving/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace muster::worker {

std::string StopMatcher::add(std::string_view text) {
  if (stopped_) return {};
  pending_ += text;
  size_t first = std::string::npos;
  for (const auto& stop : stops_) first = std::min(first, pending_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    pending_.resize(first);
    return std::exchange(pending_, {});
  }
  size_t shown = pending_.size() - heldBack();
  std::string out = pending_.substr(0, shown);
  pending_.erase(0, shown);
  return out;
}

std::string StopMatcher::finish() { return std::exchange(pending_, {}); }

// The longest end of the pending text that begins a stop string.
size_t StopMatcher::heldBack() const {
  size_t longest = 0;
  for (const auto& stop : stops_) {
    size_t length = std::min(stop.size() - 1, pending_.size());
    while (length > longest && !pending_.ends_with(std::string_view(stop).substr(0, length))) {
      --length;
    }
    longest = std::max(longest, length);
  }
  return longest;
}

}  // namespace muster::worker
