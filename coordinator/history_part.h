// Pieces of events and audit as one coordinator gives them to another: cut, encoded, and compared
// before they are kept.
#pragma once

#include "coordinator/history_store.h"
#include "protocol/peer_services.capnp.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

// What a store of `meta` gives of [from, before): the newest of it, at most HISTORY_SPAN indices
// and, if more than one, not much more than HISTORY_BYTES. Nothing when it has none, has not come
// so far, or is of another history.
std::optional<HistoryPart> olderRows(const StoreMeta& meta, const HistoryStore& store,
                                     const HistoryId& history, LogIndex from, LogIndex before);

constexpr uint64_t HISTORY_SPAN = 1000;
constexpr Bytes HISTORY_BYTES{uint64_t{1} << 20};

void encodeHistoryPart(const HistoryPart& part, schema::HistoryPart::Builder out);
// Nothing for an empty answer. Throws FAILED for bytes that are no such rows.
std::optional<HistoryPart> decodeHistoryPart(schema::HistoryPart::Reader in);

// Why the answers of several peers, one each and at least one, may not be put in front of a history
// that begins at `before`; nothing when they may. Every coordinator makes the same rows of the same
// log, so wherever two answers overlap they must be equal.
std::optional<std::string> unfitHistory(const std::vector<HistoryPart>& answers, LogIndex before);

// The event that stands before the first one of a history that does not begin with the cluster.
Event historyBegins(LogIndex from, Instant at, WallTime wall);

}  // namespace muster::coordinator
