#include "coordinator/store_format.h"

#include "coordinator/store.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <cstring>

namespace muster::coordinator {
namespace {

void appendBigEndian(std::string& out, uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((value >> shift) & 0xff));
  }
}

void put(const Guid& value, schema::Guid::Builder out) {
  out.setHigh(value.high);
  out.setLow(value.low);
}

Guid take(schema::Guid::Reader in) { return {in.getHigh(), in.getLow()}; }

std::string text(capnp::Text::Reader in) { return std::string(in.begin(), in.end()); }

std::string bytesOf(capnp::MallocMessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto bytes = words.asBytes();
  return std::string(bytes.asChars().begin(), bytes.size());
}

// A flat message of foreign bytes, copied so that it is aligned.
class Flat {
 public:
  explicit Flat(std::string_view bytes)
      : words_(kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word))),
        reader_(copied(bytes)) {}
  template <class T>
  typename T::Reader root() {
    return reader_.getRoot<T>();
  }

 private:
  kj::ArrayPtr<const capnp::word> copied(std::string_view bytes) {
    KJ_REQUIRE(bytes.size() % sizeof(capnp::word) == 0 && !bytes.empty(),
               "a stored value is cut short", bytes.size());
    std::memcpy(words_.begin(), bytes.data(), bytes.size());
    return words_;
  }
  kj::Array<capnp::word> words_;
  capnp::FlatArrayMessageReader reader_;
};

std::string historyText(const HistoryId& history) {
  return std::to_string(history.number) + "-" + toText(history.guid);
}

}  // namespace

std::string auditKey(LogIndex index) {
  std::string key;
  appendBigEndian(key, index.value, 8);
  return key;
}

std::string batchKey(BatchNumber number) {
  std::string key;
  appendBigEndian(key, number.value, 8);
  return key;
}

std::string eventKey(LogIndex index, uint32_t ordinal) {
  std::string key = auditKey(index);
  appendBigEndian(key, ordinal, 4);
  return key;
}

std::string encodeMeta(const StoreMeta& meta) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::StoreMeta>();
  out.setFormatVersion(1);
  out.setCluster(meta.cluster.value.c_str());
  auto history = out.initHistory();
  history.setNumber(meta.history.number);
  put(meta.history.guid, history.initGuid());
  out.setBatch(meta.applied.batch.value);
  out.setIndex(meta.applied.index.value);
  put(meta.applied.chain, out.initChain());
  out.setEpoch(meta.applied.epoch.value);
  out.setLeaderTimeNs(meta.applied.leaderTime.nanos);
  out.setHistoryFrom(meta.historyFrom.value);
  return bytesOf(message);
}

StoreMeta decodeMeta(std::string_view bytes) {
  Flat flat(bytes);
  auto in = flat.root<schema::StoreMeta>();
  KJ_REQUIRE(in.getFormatVersion() == 1, "the store's format is not known to this version",
             in.getFormatVersion());
  StoreMeta meta;
  meta.cluster.value = text(in.getCluster());
  meta.history = {in.getHistory().getNumber(), take(in.getHistory().getGuid())};
  meta.applied.batch = {in.getBatch()};
  meta.applied.index = {in.getIndex()};
  meta.applied.chain = take(in.getChain());
  meta.applied.epoch = {in.getEpoch()};
  meta.applied.leaderTime = {in.getLeaderTimeNs()};
  meta.historyFrom = {in.getHistoryFrom()};
  return meta;
}

std::string encodeEvent(const Event& event) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::StoredEvent>();
  out.setIndex(event.index.value);
  out.setOrdinal(event.ordinal);
  out.setAtNs(event.at.nanos);
  out.setWallMs(event.wall.unixMs);
  out.setSeverity(static_cast<uint8_t>(event.severity));
  out.setType(event.type.c_str());
  out.setObject(event.object.c_str());
  out.setTenant(event.tenant.c_str());
  out.setMessage(event.message.c_str());
  out.setPrincipal(event.principal.c_str());
  return bytesOf(message);
}

Event decodeEvent(std::string_view bytes) {
  Flat flat(bytes);
  auto in = flat.root<schema::StoredEvent>();
  Event event;
  event.index = {in.getIndex()};
  event.ordinal = in.getOrdinal();
  event.at = {in.getAtNs()};
  event.wall = {in.getWallMs()};
  event.severity = static_cast<Severity>(in.getSeverity());
  event.type = text(in.getType());
  event.object = text(in.getObject());
  event.tenant = text(in.getTenant());
  event.message = text(in.getMessage());
  event.principal = text(in.getPrincipal());
  return event;
}

std::string encodeAudit(const AuditEntry& entry) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::AuditRecord>();
  put(entry.request.guid, out.initRequest().initGuid());
  out.getRequest().setClusterTimeNs(entry.request.clusterTime.nanos);
  out.setIndex(entry.index.value);
  out.setPrincipal(entry.principal.c_str());
  out.setOutcome(entry.outcome.c_str());
  return bytesOf(message);
}

AuditEntry decodeAudit(std::string_view bytes) {
  Flat flat(bytes);
  auto in = flat.root<schema::AuditRecord>();
  AuditEntry entry;
  entry.request = {take(in.getRequest().getGuid()), {in.getRequest().getClusterTimeNs()}};
  entry.index = {in.getIndex()};
  entry.principal = text(in.getPrincipal());
  entry.outcome = text(in.getOutcome());
  return entry;
}

std::string auditJson(const AuditEntry& entry) {
  nlohmann::ordered_json row;
  row["request_id"] = toText(entry.request.guid);
  row["index"] = entry.index.value;
  row["principal"] = entry.principal;
  row["outcome"] = entry.outcome;
  return row.dump();
}

void requireSameHistory(const StoreMeta& meta, const ClusterName& cluster,
                        const HistoryId& history) {
  KJ_REQUIRE(meta.cluster == cluster,
             kj::str("E0704 this store belongs to cluster ", meta.cluster.value.c_str(),
                     ", not to ", cluster.value.c_str()));
  KJ_REQUIRE(meta.history == history,
             kj::str("E0704 this store belongs to history ", historyText(meta.history).c_str(),
                     ", the coordination service has ", historyText(history).c_str()));
}

}  // namespace muster::coordinator
