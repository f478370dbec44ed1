// The durable bytes of commands and batches.
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"

#include <xxhash.h>

namespace muster {
namespace {

constexpr uint32_t BATCH_FORMAT_VERSION = 1;

}  // namespace

ByteString encodeCommand(const Command& command) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::Command>();
  encode(command, root);
  return codec::canonicalBytes<schema::Command>(root.asReader());
}

Command decodeCommand(const ByteString& bytes) {
  return codec::readCanonical<schema::Command>(
      bytes, [](schema::Command::Reader root) { return decode(root); });
}

ByteString encodeBatch(const Batch& batch) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::Batch>();
  root.setFormatVersion(BATCH_FORMAT_VERSION);
  encode(batch.history, root.initHistory());
  root.setEpoch(batch.epoch.value);
  root.setNumber(batch.number.value);
  root.setFirstIndex(batch.firstIndex.value);
  root.setLeaderTimeNs(batch.leaderTime.nanos);
  root.setWallTimeMs(batch.wallTime.unixMs);
  encode(batch.id, root.initId());
  encode(batch.previousChain, root.initPreviousChain());
  if (batch.stateHash) {
    root.setStateHashIndex(batch.stateHash->index.value);
    encode(batch.stateHash->value, root.initStateHash());
  }
  auto commands = root.initCommands(static_cast<uint32_t>(batch.commands.size()));
  for (uint32_t i = 0; i < commands.size(); ++i) {
    const auto& bytes = batch.commands[i];
    commands.set(i, {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()});
  }
  return codec::canonicalBytes<schema::Batch>(root.asReader());
}

Batch decodeBatch(const ByteString& bytes) {
  return codec::readCanonical<schema::Batch>(bytes, [](schema::Batch::Reader root) {
    if (root.getFormatVersion() != BATCH_FORMAT_VERSION) {
      KJ_UNIMPLEMENTED("the log holds a batch of a format this binary does not know",
                       root.getFormatVersion());
    }
    Batch batch{.history = decode(root.getHistory()),
                .epoch = {root.getEpoch()},
                .number = {root.getNumber()},
                .firstIndex = {root.getFirstIndex()},
                .leaderTime = {root.getLeaderTimeNs()},
                .wallTime = {root.getWallTimeMs()},
                .id = decode(root.getId()),
                .previousChain = decode(root.getPreviousChain()),
                .stateHash = std::nullopt,
                .commands = {}};
    if (root.getStateHashIndex() != 0) {
      batch.stateHash = StateHash{{root.getStateHashIndex()}, decode(root.getStateHash())};
    }
    for (auto command : root.getCommands()) {
      batch.commands.emplace_back(reinterpret_cast<const char*>(command.begin()), command.size());
    }
    KJ_REQUIRE(!batch.commands.empty(), "a batch without commands", batch.number.value);
    return batch;
  });
}

ChainHash chainAfter(const ByteString& bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace muster
