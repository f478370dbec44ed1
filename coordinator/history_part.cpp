#include "coordinator/history_part.h"

#include "coordinator/store_format.h"
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

uint64_t sizeOf(const HistoryPart& part) {
  uint64_t bytes = 0;
  for (const Event& event : part.events) bytes += 100 + event.message.size();
  for (const AuditEntry& row : part.audit) bytes += 100 + row.principal.size();
  return bytes;
}

template <class Row>
bool liesWithin(const std::vector<Row>& rows, const HistoryPart& part) {
  return std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
    return row.index >= part.from && row.index < part.before;
  });
}

template <class Row>
std::vector<Row> rowsFrom(const std::vector<Row>& rows, LogIndex from) {
  auto first =
      std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.index >= from; });
  return {first, rows.end()};
}

bool agree(const HistoryPart& a, const HistoryPart& b) {
  LogIndex from = std::max(a.from, b.from);
  return rowsFrom(a.events, from) == rowsFrom(b.events, from) &&
         rowsFrom(a.audit, from) == rowsFrom(b.audit, from);
}

}  // namespace

std::optional<HistoryPart> olderRows(const StoreMeta& meta, const HistoryStore& store,
                                     const HistoryId& history, LogIndex from, LogIndex before) {
  from = std::max(from, meta.historyFrom);
  bool isHere = meta.history == history && before > from && before <= meta.applied.index.next();
  if (!isHere) return std::nullopt;
  for (uint64_t span = HISTORY_SPAN;; span /= 2) {
    if (before.value - from.value > span) from = {before.value - span};
    HistoryPart part = store.history(from, before);
    if (span == 1 || sizeOf(part) <= HISTORY_BYTES.count) return part;
  }
}

void encodeHistoryPart(const HistoryPart& part, schema::HistoryPart::Builder out) {
  out.setFrom(part.from.value);
  out.setBefore(part.before.value);
  auto events = out.initEvents(static_cast<uint32_t>(part.events.size()));
  for (uint32_t i = 0; i < events.size(); i++)
    events.set(i, codec::dataOf(encodeEvent(part.events[i])));
  auto audit = out.initAudit(static_cast<uint32_t>(part.audit.size()));
  for (uint32_t i = 0; i < audit.size(); i++)
    audit.set(i, codec::dataOf(encodeAudit(part.audit[i])));
}

std::optional<HistoryPart> decodeHistoryPart(schema::HistoryPart::Reader in) {
  if (in.getFrom() >= in.getBefore()) return std::nullopt;
  HistoryPart part{{in.getFrom()}, {in.getBefore()}, {}, {}};
  for (auto event : in.getEvents()) part.events.push_back(decodeEvent(codec::bytesOf(event)));
  for (auto row : in.getAudit()) part.audit.push_back(decodeAudit(codec::bytesOf(row)));
  return part;
}

std::optional<std::string> unfitHistory(const std::vector<HistoryPart>& answers, LogIndex before) {
  for (const HistoryPart& part : answers) {
    if (part.before != before) {
      return "a part ends before index " + std::to_string(part.before.value) + ", wanted is " +
             std::to_string(before.value);
    }
    if (!liesWithin(part.events, part) || !liesWithin(part.audit, part)) {
      return "a part holds rows of other indices than it names";
    }
    if (!agree(answers.front(), part)) {
      return "peers have different rows before index " + std::to_string(before.value);
    }
  }
  return std::nullopt;
}

Event historyBegins(LogIndex from, Instant at, WallTime wall) {
  Event event;
  event.index = {from.value - 1};
  event.at = at;
  event.wall = wall;
  event.type = "HistoryBegins";
  event.object = "cluster";
  event.message = "this coordinator was restored from a snapshot: it has history from index " +
                  std::to_string(from.value);
  return event;
}

}  // namespace muster::coordinator
