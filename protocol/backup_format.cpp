#include "protocol/backup_format.h"

#include "protocol/backup.capnp.h"
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"

#include <xxhash.h>

namespace muster::backup {
namespace {

std::string textOf(capnp::Text::Reader text) { return {text.cStr(), text.size()}; }

void putPosition(const LogPosition& position, schema::BackupHeader::Builder out) {
  out.setBatch(position.batch.value);
  out.setIndex(position.index.value);
  encode(position.chain, out.initChain());
  out.setEpoch(position.epoch.value);
  out.setLeaderTimeNs(position.leaderTime.nanos);
}

LogPosition takePosition(schema::BackupHeader::Reader in) {
  return {{in.getBatch()},
          {in.getIndex()},
          decode(in.getChain()),
          {in.getEpoch()},
          {in.getLeaderTimeNs()}};
}

}  // namespace

std::string encodeHeader(const BackupHeader& header) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::BackupHeader>();
  out.setCluster(header.cluster.value.c_str());
  encode(header.history, out.initHistory());
  putPosition(header.position, out);
  out.setSchemaLevel(header.schemaLevel);
  out.setCoordinator(header.coordinator.value.c_str());
  out.setVersion(header.version.c_str());
  out.setWallMs(header.madeAt.unixMs);
  out.setHistoryFrom(header.historyFrom.value);
  return codec::canonicalBytes<schema::BackupHeader>(out.asReader());
}

BackupHeader decodeHeader(const std::string& bytes) {
  return codec::readCanonical<schema::BackupHeader>(bytes, [](schema::BackupHeader::Reader in) {
    BackupHeader header;
    header.cluster = ClusterName{textOf(in.getCluster())};
    header.history = decode(in.getHistory());
    header.position = takePosition(in);
    header.schemaLevel = in.getSchemaLevel();
    header.coordinator = CoordinatorId{textOf(in.getCoordinator())};
    header.version = textOf(in.getVersion());
    header.madeAt = {in.getWallMs()};
    header.historyFrom = {in.getHistoryFrom()};
    return header;
  });
}

std::string encodeEnd(const BackupEnd& end) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::BackupEnd>();
  out.setRecords(end.counts.records);
  out.setEvents(end.counts.events);
  out.setAuditRows(end.counts.auditRows);
  encode(end.stateHash, out.initStateHash());
  encode(end.fileHash, out.initFileHash());
  return codec::canonicalBytes<schema::BackupEnd>(out.asReader());
}

BackupEnd decodeEnd(const std::string& bytes) {
  return codec::readCanonical<schema::BackupEnd>(bytes, [](schema::BackupEnd::Reader in) {
    BackupEnd end;
    end.counts = {in.getRecords(), in.getEvents(), in.getAuditRows()};
    end.stateHash = decode(in.getStateHash());
    end.fileHash = decode(in.getFileHash());
    return end;
  });
}

uint64_t hashOfFrame(uint64_t place, uint32_t part, std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), (place << 8) | part);
}

void appendNumber(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

uint64_t readNumber(std::string_view bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[static_cast<size_t>(i)]);
  }
  return value;
}

RunningHash::RunningHash() : state_(XXH3_createState()) {
  KJ_REQUIRE(state_ != nullptr, "no memory for a hash");
  XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_));
}

RunningHash::~RunningHash() noexcept { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }

void RunningHash::add(std::string_view bytes) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_), bytes.data(), bytes.size());
}

Guid RunningHash::value() const {
  XXH128_hash_t hash = XXH3_128bits_digest(static_cast<const XXH3_state_t*>(state_));
  return {hash.high64, hash.low64};
}

}  // namespace muster::backup
