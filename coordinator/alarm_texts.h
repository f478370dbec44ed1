// The words of alarms: what happened, which history and index this coordinator holds, what to do.
// Pure.
#pragma once

#include "coordinator/alarms.h"
#include "coordinator/state_store.h"
#include "failover/log_reader.h"

#include <optional>
#include <string>

namespace muster::coordinator {

struct Trouble {
  // A constructor, because it is made inside coroutines (see base/co.h).
  Trouble(AlarmKind kind, std::string text) : kind(kind), text(std::move(text)) {}
  AlarmKind kind;
  std::string text;
};

// "history 1-00ab..., index 42 (batch 17, epoch 3)".
std::string holdingText(const StoreMeta& held);

// What a fault of the log means for this coordinator, which holds `held`. Nothing for a format that
// this binary does not know, for then it must stop, and for a log that was trimmed on purpose.
std::optional<Trouble> troubleOf(const failover::FoundFault& fault, const StoreMeta& held);

// ZooKeeper's log and what coordinators hold cannot be brought together: `why`.
Trouble lossTrouble(const std::string& why, const StoreMeta& held);

// The tree at `path` is gone, though this coordinator holds a history.
Trouble emptyTrouble(const std::string& path, const StoreMeta& held);

// ZooKeeper holds `found`; nothing when that is ours, or a higher number, which a restore makes and
// which wins.
std::optional<Trouble> historyTrouble(const HistoryId& found, const StoreMeta& held);

}  // namespace muster::coordinator
