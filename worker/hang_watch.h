// Judges a native rank that answers its agent: does it get on, does it wait for others, or does it
// hang itself? Pure: time is handed in.
#pragma once

#include "base/units.h"
#include "protocol/order.h"
#include "worker/engine/native/rank_operation.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

namespace muster::worker {

// A rank hangs when an operation that needs nobody else does not end within the stall time. One
// that waits for others is their victim: its own deadline is the stall time, and ends the wait with
// their names. When even that does not end it, its thread does not run any more. The victims give
// up after twice the stall time; the culprit is told before.
class HangWatch {
 public:
  HangWatch(Duration stall, SteadyTime now) : stall_(stall), lastLook_(now), since_(now) {}

  // One look. `last`: nothing when it cannot be read, as of a rank of an earlier version, of which
  // only loading is judged.
  void look(const RankReport& told, const std::optional<LastOperation>& last, SteadyTime now) {
    Seen seen{told.loaded.count, last ? last->begun : 0};
    Blame blame = blameOf(told, last);
    // Whoever looked away for long was stopped itself, and perhaps the rank with it.
    bool wasAway = now - lastLook_ > std::max(stall_ / 2, Duration(1_s));
    if (seen != seen_ || blame == Blame::NOBODY || wasAway) since_ = now;
    seen_ = seen;
    lastLook_ = now;
    isLoading_ = told.phase == ReplicaPhase::LOADING;
    patience_ = blame == Blame::PEER ? stall_ / 2 * 3 : stall_;
  }

  bool hangs() const { return lastLook_ - since_ >= patience_; }
  // "no operation has ended for 2m"
  std::string text() const {
    return std::string(isLoading_ ? "no byte was loaded" : "no operation has ended") + " for " +
           toText(patience_);
  }

 private:
  struct Seen {
    uint64_t loaded = 0;
    uint64_t begun = 0;
    bool operator==(const Seen&) const = default;
  };

  static Blame blameOf(const RankReport& told, const std::optional<LastOperation>& last) {
    if (last) return blameFor(last->what);
    return told.phase == ReplicaPhase::LOADING ? Blame::SELF : Blame::NOBODY;
  }

  Duration stall_;
  Duration patience_ = stall_;
  Seen seen_;
  SteadyTime lastLook_;
  SteadyTime since_;  // of the newest progress
  bool isLoading_ = true;
};

}  // namespace muster::worker
