// What a coordinator cannot put right alone, or has put right and somebody should know of: in
// `admin status`, in the log and in the metrics until it is over.
#pragma once

#include "base/units.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace muster::coordinator {

enum class AlarmKind {
  STATE_DIVERGED,   // our state is not what the log makes: dropped and rebuilt
  LEADER_DIVERGED,  // the log carries a hash that a replay of it does not give
  LOG_CORRUPT,      // a record of the log is damaged or missing; not skipped
  LOG_LOST,         // ZooKeeper lost the newest batches; they are written again
  ZOOKEEPER_OLD,    // ZooKeeper holds an older or another log than we know: nothing is written
  ZOOKEEPER_EMPTY,  // the cluster's tree is gone: nothing is written
  HISTORY_DIFFERS,  // ZooKeeper holds another history than our store: nothing is written
  LOG_CONTRADICTS,  // what the log answered cannot be
};
inline constexpr std::array ALARM_KINDS = {AlarmKind::STATE_DIVERGED,  AlarmKind::LEADER_DIVERGED,
                                           AlarmKind::LOG_CORRUPT,     AlarmKind::LOG_LOST,
                                           AlarmKind::ZOOKEEPER_OLD,   AlarmKind::ZOOKEEPER_EMPTY,
                                           AlarmKind::HISTORY_DIFFERS, AlarmKind::LOG_CONTRADICTS};

// "zookeeper_empty": in `admin status`, metrics and docs/OPERATIONS.md.
std::string_view toText(AlarmKind kind);

class Alarms {
 public:
  // True when it is new or says something else than before: worth a line in the log.
  bool raise(AlarmKind kind, std::string text);
  // True when it was raised.
  bool clear(AlarmKind kind);

  const std::map<AlarmKind, std::string>& active() const { return active_; }
  // Since the process started.
  uint64_t raised(AlarmKind kind) const;

 private:
  std::map<AlarmKind, std::string> active_;
  std::map<AlarmKind, uint64_t> raised_;
};

}  // namespace muster::coordinator
