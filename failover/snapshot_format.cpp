#include "failover/snapshot_format.h"

#include "protocol/codec.h"
#include "protocol/codec_bytes.h"
#include "protocol/snapshot.capnp.h"

namespace muster::failover {
namespace {

constexpr uint32_t FORMAT_VERSION = 1;
constexpr size_t SEAL_BYTES = 16;

ByteString toBytes(const Guid& hash) {
  ByteString bytes;
  for (uint64_t half : {hash.high, hash.low}) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(half >> shift));
  }
  return bytes;
}

ByteString sealed(const ByteString& body) { return toBytes(chainAfter(body)) + body; }

ByteString unsealed(const ByteString& bytes, const std::string& what) {
  KJ_REQUIRE(bytes.size() > SEAL_BYTES, "SNAPSHOT_DAMAGED: it is cut off", what.c_str(),
             bytes.size());
  ByteString body = bytes.substr(SEAL_BYTES);
  KJ_REQUIRE(toBytes(chainAfter(body)) == bytes.substr(0, SEAL_BYTES),
             "SNAPSHOT_DAMAGED: the bytes are not those that were written", what.c_str());
  return body;
}

void requireKnown(uint32_t version) {
  if (version == FORMAT_VERSION) return;
  KJ_UNIMPLEMENTED("the snapshot is of a format this binary does not know", version);
}

}  // namespace

ByteString encodeManifest(const SnapshotManifest& manifest) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::SnapshotManifest>();
  root.setFormatVersion(FORMAT_VERSION);
  root.setCluster(manifest.cluster.value.c_str());
  encode(manifest.history, root.initHistory());
  root.setBatch(manifest.position.batch.value);
  root.setIndex(manifest.position.index.value);
  encode(manifest.position.chain, root.initChain());
  root.setEpoch(manifest.position.epoch.value);
  root.setLeaderTimeNs(manifest.position.leaderTime.nanos);
  encode(manifest.stateHash, root.initStateHash());
  root.setRecords(manifest.records);
  root.setChunks(manifest.chunks);
  root.setBytes(manifest.bytes.count);
  encode(manifest.chunksHash, root.initChunksHash());
  root.setWriter(manifest.writer.value.c_str());
  root.setWrittenWallMs(manifest.written.unixMs);
  return sealed(codec::canonicalBytes<schema::SnapshotManifest>(root.asReader()));
}

SnapshotManifest decodeManifest(const ByteString& bytes) {
  auto read = [](schema::SnapshotManifest::Reader root) {
    requireKnown(root.getFormatVersion());
    SnapshotManifest manifest;
    manifest.cluster = {root.getCluster().cStr()};
    manifest.history = decode(root.getHistory());
    manifest.position = {{root.getBatch()},
                         {root.getIndex()},
                         decode(root.getChain()),
                         {root.getEpoch()},
                         {root.getLeaderTimeNs()}};
    manifest.stateHash = decode(root.getStateHash());
    manifest.records = root.getRecords();
    manifest.chunks = root.getChunks();
    manifest.bytes = {root.getBytes()};
    manifest.chunksHash = decode(root.getChunksHash());
    manifest.writer = {root.getWriter().cStr()};
    manifest.written = {root.getWrittenWallMs()};
    return manifest;
  };
  return codec::readCanonical<schema::SnapshotManifest>(unsealed(bytes, "manifest"), read);
}

ByteString encodeChunk(LogIndex snapshot, uint32_t number, const ByteString& payload) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::SnapshotChunk>();
  root.setFormatVersion(FORMAT_VERSION);
  root.setIndex(snapshot.value);
  root.setNumber(number);
  root.setPayload({reinterpret_cast<const kj::byte*>(payload.data()), payload.size()});
  return sealed(codec::canonicalBytes<schema::SnapshotChunk>(root.asReader()));
}

ByteString decodeChunk(const ByteString& bytes, LogIndex snapshot, uint32_t number) {
  std::string what = "chunk " + std::to_string(number) + " of " + std::to_string(snapshot.value);
  auto read = [&](schema::SnapshotChunk::Reader root) {
    requireKnown(root.getFormatVersion());
    KJ_REQUIRE(root.getIndex() == snapshot.value && root.getNumber() == number,
               "SNAPSHOT_DAMAGED: it is another chunk", what.c_str(), root.getIndex(),
               root.getNumber());
    auto payload = root.getPayload().asChars();
    return ByteString(payload.begin(), payload.size());
  };
  return codec::readCanonical<schema::SnapshotChunk>(unsealed(bytes, what), read);
}

Guid chunksHashAfter(const Guid& before, const ByteString& chunk) {
  return chainAfter(toBytes(before) + toBytes(chainAfter(chunk)));
}

}  // namespace muster::failover
