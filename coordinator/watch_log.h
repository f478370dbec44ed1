// What watchers are told: the objects as they are at one log index, and how they became so. Pure.
#pragma once

#include "base/ids.h"
#include "coordinator/core/state.h"

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster::coordinator {

// Kind ("route") and id ("default/chat/0") of an object.
using WatchKey = std::pair<std::string, std::string>;
using WatchedObjects = std::map<WatchKey, std::string>;  // their JSON
using WatchKinds = std::set<std::string>;

const WatchKinds& watchKinds();  // all there are

// All objects that can be watched, as the log made them: nothing observed is among them, so that
// every coordinator tells the same at one index. Cost O(state).
WatchedObjects watchedObjects(const State& state);

// Where in which log something was true: the id of an event. "3-<guid>/1234".
struct WatchPosition {
  HistoryId history;
  LogIndex index;
  bool operator==(const WatchPosition&) const = default;
};
std::string toText(const WatchPosition& position);
std::optional<WatchPosition> parseWatchPosition(const std::string& text);

struct WatchChange {
  WatchPosition position;
  Epoch epoch;
  WatchedObjects changed;
  std::set<WatchKey> removed;
};

// The newest objects and the way to them, as far back as there is room.
class WatchLog {
 public:
  static constexpr size_t CHANGES_KEPT = 1024;

  // Takes what is true at `position`; an index that is not above ours in the same history is
  // ignored. The change that it makes; nothing when it makes none. A new history forgets the way.
  const WatchChange* take(const WatchPosition& position, Epoch epoch, WatchedObjects objects);

  const std::optional<WatchPosition>& position() const { return position_; }
  // The newest objects of these kinds, as one event of the stream.
  std::string snapshot(const WatchKinds& kinds) const;
  // What came after `from`, one event each; nothing when that is not known any more.
  std::optional<std::vector<std::string>> since(const WatchPosition& from,
                                                const WatchKinds& kinds) const;

 private:
  std::optional<WatchPosition> position_;
  Epoch epoch_;
  WatchedObjects objects_;
  LogIndex knownFrom_;  // all changes after this index are in changes_
  std::deque<WatchChange> changes_;
};

// One event of the stream; empty when it has nothing of these kinds.
std::string eventText(const WatchChange& change, const WatchKinds& kinds);

}  // namespace muster::coordinator
