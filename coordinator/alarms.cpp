#include "coordinator/alarms.h"

namespace muster::coordinator {

std::string_view toText(AlarmKind kind) {
  switch (kind) {
    case AlarmKind::STATE_DIVERGED:
      return "state_diverged";
    case AlarmKind::LEADER_DIVERGED:
      return "leader_diverged";
    case AlarmKind::LOG_CORRUPT:
      return "log_corrupt";
    case AlarmKind::LOG_LOST:
      return "log_lost";
    case AlarmKind::ZOOKEEPER_OLD:
      return "zookeeper_old";
    case AlarmKind::ZOOKEEPER_EMPTY:
      return "zookeeper_empty";
    case AlarmKind::HISTORY_DIFFERS:
      return "history_differs";
    case AlarmKind::LOG_CONTRADICTS:
      return "log_contradicts";
  }
  return "unknown";
}

bool Alarms::raise(AlarmKind kind, std::string text) {
  auto [entry, isNew] = active_.try_emplace(kind, text);
  if (isNew) raised_[kind]++;
  if (!isNew && entry->second == text) return false;
  entry->second = std::move(text);
  return true;
}

bool Alarms::clear(AlarmKind kind) { return active_.erase(kind) > 0; }

uint64_t Alarms::raised(AlarmKind kind) const {
  auto found = raised_.find(kind);
  return found == raised_.end() ? 0 : found->second;
}

}  // namespace muster::coordinator
