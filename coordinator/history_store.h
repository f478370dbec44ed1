// The part of a store that hands out pieces of its events and audit rows, and takes older ones in.
#pragma once

#include "coordinator/state_store.h"

#include <vector>

namespace muster::coordinator {

// Events and audit rows of the indices in [from, before), whole and in log order.
struct HistoryPart {
  LogIndex from;
  LogIndex before;
  std::vector<Event> events;
  std::vector<AuditEntry> audit;
};

class HistoryStore {
 public:
  virtual ~HistoryStore() noexcept(false) = default;
  // What is here of the indices in [from, before). Requires a claimed store whose history begins at
  // or below `from`.
  virtual HistoryPart history(LogIndex from, LogIndex before) const = 0;
  // Puts `part` in front of the history that is here, which begins where the part ends. An event
  // before the part's first index says that the history begins there; one of this kind that was
  // here goes. Atomic.
  virtual void addOlder(const HistoryPart& part) = 0;
};

}  // namespace muster::coordinator
