// The durable bytes of commands and batches.
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"

#include <endian.h>
#include <xxhash.h>

#include <array>
#include <memory>

namespace muster {
namespace {

constexpr uint32_t BATCH_FORMAT_VERSION = 1;
constexpr uint64_t NO_CHECKSUM = ~uint64_t{0};  // of each half, while the checksum is computed
constexpr size_t CHECKSUM_BYTES = 16;
// Where the checksum lies in canonical bytes: behind the root's pointer and seven words of data.
constexpr size_t CHECKSUM_AT = 8 * sizeof(capnp::word);

std::array<uint64_t, 2> checksumOf(const ByteString& bytes) {
  constexpr size_t AFTER = CHECKSUM_AT + CHECKSUM_BYTES;
  KJ_REQUIRE(bytes.size() >= AFTER, "a batch is cut off", bytes.size());
  const std::array<uint64_t, 2> none = {NO_CHECKSUM, NO_CHECKSUM};
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                 XXH3_freeState);
  XXH3_128bits_reset(state.get());
  XXH3_128bits_update(state.get(), bytes.data(), CHECKSUM_AT);
  XXH3_128bits_update(state.get(), none.data(), CHECKSUM_BYTES);
  XXH3_128bits_update(state.get(), bytes.data() + AFTER, bytes.size() - AFTER);
  XXH128_hash_t sum = XXH3_128bits_digest(state.get());
  return {htole64(sum.high64), htole64(sum.low64)};
}

void putChecksum(ByteString& bytes) {
  auto sum = checksumOf(bytes);
  std::memcpy(bytes.data() + CHECKSUM_AT, sum.data(), CHECKSUM_BYTES);
}

// A flipped bit in a command would else be found only by whoever reads the batch after it.
void requireChecksum(const ByteString& bytes) {
  auto sum = checksumOf(bytes);
  KJ_REQUIRE(std::memcmp(bytes.data() + CHECKSUM_AT, sum.data(), CHECKSUM_BYTES) == 0,
             "the bytes of a batch are not those that were written");
}

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
  root.setChecksumHigh(NO_CHECKSUM);
  root.setChecksumLow(NO_CHECKSUM);
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
  ByteString bytes = codec::canonicalBytes<schema::Batch>(root.asReader());
  putChecksum(bytes);
  return bytes;
}

Batch decodeBatch(const ByteString& bytes) {
  requireChecksum(bytes);
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
