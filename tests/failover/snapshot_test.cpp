// Snapshots on a real ZooKeeper: written, proven, adopted by the leader alone, and the log trimmed.
#include "failover/bootstrap.h"
#include "failover/log_trim.h"
#include "failover/snapshot_reader.h"
#include "failover/snapshot_writer.h"
#include "tests/failover/coordinators.h"

#include <gmock/gmock.h>

namespace muster::failover::snapshot_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t KEPT = 10;
const std::vector<ByteString> PAYLOADS = {std::string(60'000, 'a'), "b", std::string(50'000, 'c')};

class SnapshotTest : public Coordinators<ZkTest> {
 protected:
  SnapshotTest() { history = bootstrapTree(); }

  // Appends batches of one command each until the log has `count`.
  void growLog(TestCoordinator& leader, uint64_t count) {
    while (leader.leadership->appended().batch.value < count) {
      auto appended = leader.leadership->append("command");
      patience.await(kj::mv(appended.committed));
      positions.push_back(leader.leadership->appended());
    }
  }

  // As a standby writes it, of the state after `position`.
  SnapshotManifest manifestAt(const LogPosition& position) {
    SnapshotManifest manifest;
    manifest.cluster = CLUSTER;
    manifest.history = history;
    manifest.position = position;
    manifest.chunks = static_cast<uint32_t>(PAYLOADS.size());
    for (uint32_t i = 0; i < PAYLOADS.size(); i++) {
      ByteString chunk = encodeChunk(position.index, i, PAYLOADS[i]);
      manifest.bytes.count += chunk.size();
      manifest.chunksHash = chunksHashAfter(manifest.chunksHash, chunk);
    }
    return manifest;
  }
  kj::Own<SnapshotWriter> writerAt(CoordinationSession& session, LogIndex index) {
    return kj::heap<SnapshotWriter>(session, loop.timer(), paths, index, "co2", 1_GiB);
  }
  SnapshotManifest writeSnapshot(const LogPosition& position) {
    auto session = connect();
    auto writer = writerAt(*session, position.index);
    EXPECT_TRUE(patience.await(writer->begin()));
    for (const ByteString& payload : PAYLOADS) patience.await(writer->add(payload));
    SnapshotManifest manifest = manifestAt(position);
    std::vector<ByteString> readBack;
    patience.await(
        writer->verify(manifest, [&](const ByteString& payload) { readBack.push_back(payload); }));
    EXPECT_EQ(readBack, PAYLOADS);
    patience.await(writer->finish(manifest));
    return manifest;
  }

  LogTrimmer::Parts trimmerParts(CoordinationSession& session, LogTrimmer::Fenced fenced) {
    LogTrimmer::Parts parts{session, loop.timer(), paths, history, kj::mv(fenced), logger};
    parts.keptBatches = KEPT;
    return parts;
  }
  kj::Promise<void> trim(TestCoordinator& leader) {
    auto fenced = [&leader](std::vector<Op> ops) { return leader.leadership->fenced(kj::mv(ops)); };
    auto trimmer = kj::heap<LogTrimmer>(trimmerParts(*leader.session, fenced));
    auto running = trimmer->run();
    return running.attach(kj::mv(trimmer)).eagerlyEvaluate([](kj::Exception&&) {});
  }

  uint64_t currentIndex() {
    auto session = connect();
    auto current = patience.await(readCurrentSnapshot(*session, paths));
    KJ_IF_MAYBE (found, current) return found->manifest.position.index.value;
    return 0;
  }
  std::vector<std::string> names(const std::string& path) {
    auto session = connect();
    return patience.await(session->list(path)).children;
  }

  HistoryId history;
  Logger logger;
  std::vector<LogPosition> positions = {LogPosition{}};  // after each batch
};

TEST_F(SnapshotTest, isReadBackVerifiedAndThenAdoptedByTheLeaderWhichTrims) {
  auto leader = coordinator("co1");
  standAndLead(leader);
  growLog(leader, 40);
  auto trimming = trim(leader);
  SnapshotManifest manifest = writeSnapshot(positions[30]);
  EXPECT_TRUE(patience.until([&] { return names(paths.log()).size() == 40 - 30 + KEPT + 1; }))
      << names(paths.log()).size();
  EXPECT_EQ(names(paths.log()).front(), Paths::padded(30 - KEPT));
  EXPECT_EQ(currentIndex(), manifest.position.index.value);

  auto session = connect();
  SnapshotReader reader(*session, paths, manifest);
  std::vector<ByteString> read;
  for (;;) {
    auto next = patience.await(reader.next());
    if (next.found == SnapshotReader::Found::END) break;
    ASSERT_EQ(next.found, SnapshotReader::Found::CHUNK);
    read.push_back(next.payload);
  }
  EXPECT_EQ(read, PAYLOADS);

  // The next one takes its place.
  growLog(leader, 60);
  writeSnapshot(positions[55]);
  EXPECT_TRUE(patience.until([&] { return names(paths.snapshot()).size() == 2; }));
  EXPECT_EQ(currentIndex(), positions[55].index.value);
  SnapshotReader late(*session, paths, manifest);
  EXPECT_EQ(patience.await(late.next()).found, SnapshotReader::Found::GONE);
}

TEST_F(SnapshotTest, aReaderWhosePlaceWasTrimmedSaysSo) {
  auto leader = coordinator("co1");
  standAndLead(leader);
  growLog(leader, 40);
  auto trimming = trim(leader);
  writeSnapshot(positions[30]);
  EXPECT_TRUE(patience.until([&] { return names(paths.log()).size() == 40 - 30 + KEPT + 1; }));
  auto session = connect();
  for (uint64_t at : {0, 1, 19}) {
    LogReader reader(*session, paths, history, positions[at]);
    auto failed = kj::runCatchingExceptions([&] { patience.await(reader.next()); });
    ASSERT_NE(failed, nullptr) << at;
    KJ_IF_MAYBE (exception, failed) {
      EXPECT_TRUE(isFault(*exception, LogFault::TRIMMED)) << exception->getDescription().cStr();
    }
  }
  LogReader reader(*session, paths, history, positions[20]);
  EXPECT_NE(patience.await(reader.next()), nullptr);
  // What is missing behind the snapshot was not trimmed, it is lost.
  patience.await(session->multi({removeOp(paths.batch(BatchNumber{35}))}));
  LogReader lost(*session, paths, history, positions[35]);
  EXPECT_THAT(describeFailure([&] { patience.await(lost.next()); }), HasSubstr("LOST_SUFFIX"));
}

TEST_F(SnapshotTest, anOldLeaderCanNeitherAdoptNorTrim) {
  auto first = coordinator("co1");
  standAndLead(first);
  growLog(first, 40);
  int32_t oldVersion = KJ_ASSERT_NONNULL(patience.await(readEpoch(*first.session, paths))).version;
  first.drop();
  auto second = coordinator("co2");
  standAndLead(second);

  // An old leader that has heard of nothing: its writes carry the version its takeover returned.
  auto session = connect();
  size_t refused = 0;
  auto fenced = [&](std::vector<Op> ops) {
    ops.insert(ops.begin(), checkOp(paths.epoch(), oldVersion));
    return session->multi(kj::mv(ops)).then([&](MultiResult&& result) {
      if (result.code == ZkCode::BAD_VERSION) refused++;
      return kj::mv(result);
    });
  };
  LogTrimmer old(trimmerParts(*session, fenced));
  auto running = old.run().eagerlyEvaluate(nullptr);
  writeSnapshot(positions[30]);
  EXPECT_TRUE(patience.until([&] { return refused >= 1; }));
  EXPECT_EQ(currentIndex(), 0u);
  EXPECT_EQ(names(paths.log()).size(), 40u);

  // Nor does it trim what the new leader has adopted.
  auto adopt = createOp(paths.currentSnapshot(), encodeManifest(manifestAt(positions[30])));
  EXPECT_EQ(patience.await(second.leadership->fenced({adopt})).code, ZkCode::OK);
  size_t before = refused;
  LogTrimmer again(trimmerParts(*session, fenced));
  auto trimming = again.run().eagerlyEvaluate(nullptr);
  EXPECT_TRUE(patience.until([&] { return refused > before; }));
  EXPECT_EQ(names(paths.log()).size(), 40u);
}

TEST_F(SnapshotTest, aWriterThatDiedIsSucceededAndCanNoLongerFinish) {
  auto leader = coordinator("co1");
  standAndLead(leader);
  growLog(leader, 20);
  auto session = connect();
  auto first = writerAt(*session, positions[15].index);
  EXPECT_TRUE(patience.await(first->begin()));
  patience.await(first->add("half of it"));

  auto manifest = writeSnapshot(positions[15]);  // removes what it finds
  EXPECT_EQ(names(paths.snapshotFolder(manifest.position.index)).size(), PAYLOADS.size() + 1);
  EXPECT_THAT(describeFailure([&] { patience.await(first->add("the rest")); }),
              HasSubstr("DISCONNECTED"));
  EXPECT_THAT(describeFailure([&] { patience.await(first->finish(manifest)); }),
              HasSubstr("DISCONNECTED"));
  auto third = writerAt(*session, positions[15].index);
  EXPECT_FALSE(patience.await(third->begin()));  // it is finished already
}

TEST_F(SnapshotTest, whatAWriterLeftUnfinishedIsGoneWhenItWritesAgain) {
  auto leader = coordinator("co1");
  standAndLead(leader);
  growLog(leader, 40);
  auto finished = writeSnapshot(positions[10]);
  auto session = connect();
  auto write = [&](const std::string& writer, size_t at) {
    SnapshotWriter half(*session, loop.timer(), paths, positions[at].index, writer, 1_GiB);
    EXPECT_TRUE(patience.await(half.begin()));
    for (const ByteString& payload : PAYLOADS) patience.await(half.add(payload));
  };
  auto folder = [&](size_t at) { return Paths::padded(positions[at].index.value); };
  write("co2", 20);
  write("co3", 25);
  write("co2", 30);
  EXPECT_THAT(names(paths.snapshot()), ElementsAre(folder(10), folder(25), folder(30)));
  // A later one that is under way is not touched by who comes with an earlier one.
  write("co2", 28);
  EXPECT_THAT(names(paths.snapshot()), ElementsAre(folder(10), folder(25), folder(28), folder(30)));
}

TEST_F(SnapshotTest, aDamagedCurrentOneIsReplacedByTheNext) {
  auto leader = coordinator("co1");
  standAndLead(leader);
  growLog(leader, 40);
  auto session = connect();
  EXPECT_EQ(create(*session, paths.currentSnapshot(), "no manifest at all"), ZkCode::OK);
  auto trimming = trim(leader);
  writeSnapshot(positions[30]);
  EXPECT_TRUE(patience.until([&] { return names(paths.log()).size() == 40 - 30 + KEPT + 1; }));
  EXPECT_EQ(currentIndex(), positions[30].index.value);
}

TEST_F(SnapshotTest, ofAnotherLogIsNotAdopted) {
  auto leader = coordinator("co1");
  standAndLead(leader);
  growLog(leader, 40);
  LogPosition wrong = positions[30];
  wrong.chain = {1, 1};
  writeSnapshot(wrong);
  auto trimming = trim(leader);
  writeSnapshot(positions[32]);
  EXPECT_TRUE(patience.until([&] { return currentIndex() == positions[32].index.value; }));
  EXPECT_TRUE(patience.until([&] { return names(paths.snapshot()).size() == 2; }));
}

TEST_F(SnapshotTest, aDamagedOrMissingChunkIsRefused) {
  auto leader = coordinator("co1");
  standAndLead(leader);
  growLog(leader, 20);
  auto manifest = writeSnapshot(positions[15]);
  auto session = connect();
  std::string path = paths.snapshotChunk(manifest.position.index, 1);
  ByteString bytes = patience.await(session->get(path)).data;
  bytes[bytes.size() - 1] = static_cast<char>(bytes[bytes.size() - 1] ^ 1);
  patience.await(session->multi({setOp(path, bytes, ANY_VERSION)}));
  SnapshotReader reader(*session, paths, manifest);
  EXPECT_EQ(patience.await(reader.next()).found, SnapshotReader::Found::CHUNK);
  EXPECT_THAT(describeFailure([&] { patience.await(reader.next()); }),
              HasSubstr("SNAPSHOT_DAMAGED"));
  // A chunk that is whole but another than the manifest's.
  ByteString other = encodeChunk(manifest.position.index, 1, "x");
  patience.await(session->multi({setOp(path, other, ANY_VERSION)}));
  SnapshotReader second(*session, paths, manifest);
  EXPECT_THAT(describeFailure([&] {
                for (int i = 0; i < 4; i++) patience.await(second.next());
              }),
              HasSubstr("SNAPSHOT_DAMAGED"));
}

}  // namespace
}  // namespace muster::failover::snapshot_test
