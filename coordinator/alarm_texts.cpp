#include "coordinator/alarm_texts.h"

namespace muster::coordinator {
namespace {

using failover::FoundFault;
using failover::LogFault;

constexpr const char* STOPPED =
    "; nothing is written until this is resolved, what serves goes on serving";
constexpr const char* PUT_BACK =
    " Next: put back the newest data of the ZooKeeper servers, or else make an explicit restore "
    "from the coordinator with the highest index (docs/OPERATIONS.md)";

std::string historyOf(const HistoryId& history) {
  return std::to_string(history.number) + "-" + toText(history.guid);
}

std::string weHold(const StoreMeta& held) {
  return ". This coordinator holds " + holdingText(held);
}

}  // namespace

std::string holdingText(const StoreMeta& held) {
  return "history " + historyOf(held.history) + ", index " +
         std::to_string(held.applied.index.value) + " (batch " +
         std::to_string(held.applied.batch.value) + ", epoch " +
         std::to_string(held.applied.epoch.value) + ")";
}

std::optional<Trouble> troubleOf(const FoundFault& fault, const StoreMeta& held) {
  switch (fault.fault) {
    case LogFault::UNKNOWN_FORMAT:
    case LogFault::TRIMMED:
      return std::nullopt;
    case LogFault::CORRUPT:
    case LogFault::CHAIN_BROKEN:
    case LogFault::EPOCH_WENT_DOWN:
    case LogFault::HOLE:
      return Trouble{AlarmKind::LOG_CORRUPT,
                     "a record of the log is damaged or missing: " + fault.text +
                         ". It is refused and never skipped; the leader writes it again from the "
                         "verified bytes that coordinators keep" +
                         weHold(held)};
    case LogFault::LOST_SUFFIX:
      return lossTrouble(fault.text, held);
    case LogFault::HISTORY_DIFFERS:
      return Trouble{AlarmKind::HISTORY_DIFFERS,
                     fault.text + weHold(held) + STOPPED + "." + PUT_BACK};
  }
  return std::nullopt;
}

Trouble lossTrouble(const std::string& why, const StoreMeta& held) {
  return {AlarmKind::ZOOKEEPER_OLD, "ZooKeeper does not hold what it had acknowledged: " + why +
                                        weHold(held) + STOPPED + "." + PUT_BACK};
}

Trouble emptyTrouble(const std::string& path, const StoreMeta& held) {
  return {AlarmKind::ZOOKEEPER_EMPTY, "ZooKeeper is empty: " + path + " is gone" + weHold(held) +
                                          STOPPED + "." + PUT_BACK +
                                          ". Do not bootstrap: that would be another cluster"};
}

std::optional<Trouble> historyTrouble(const HistoryId& found, const StoreMeta& held) {
  bool restored = found.number > held.history.number;
  if (found == held.history || restored) return std::nullopt;
  return Trouble(AlarmKind::HISTORY_DIFFERS,
                 "ZooKeeper holds history " + historyOf(found) + weHold(held) + STOPPED +
                     ". It was bootstrapped anew, is another cluster's, or is an old copy." +
                     PUT_BACK);
}

}  // namespace muster::coordinator
