// From one store into ZooKeeper and out of it into another: the same records, the same hash.
#include "coordinator/core/record_key.h"
#include "coordinator/snapshot_records.h"
#include "coordinator/snapshot_restore.h"
#include "failover/bootstrap.h"
#include "failover/snapshot_writer.h"
#include "tests/failover/zk_fixture.h"
#include "tests/support/memory_store.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

namespace muster::coordinator::snapshot_test {
namespace {

using failover::Paths;
using failover::SnapshotManifest;
using failover::SnapshotWriter;
using testing::HasSubstr;

const ClusterName CLUSTER{"test"};
const LogPosition POSITION{{50}, {500}, {1, 2}, {3}, {4'000}};

// Small ones, and some that do not fit into a chunk with others.
StoreBatch records(uint64_t seed, size_t count) {
  SeededRandom random{seed};
  StoreBatch batch{POSITION, {}, {}, {}};
  for (size_t i = 0; i < count; i++) {
    size_t size = i % 97 == 0 ? 70'000 : random.below(300);
    batch.records.push_back({"node/" + std::to_string(i), std::string(size, 'v')});
  }
  return batch;
}

std::map<std::string, std::string> recordsOf(const StateStore& store) {
  std::map<std::string, std::string> found;
  store.loadRecords([&](std::string_view key, std::string_view value) {
    found.emplace(std::string(key), std::string(value));
  });
  return found;
}

TEST(SnapshotRecords, cutsPayloadsThatFitAndGivesBackEveryRecordInOrder) {
  MemoryDisk disk;
  MemoryStore store(disk);
  store.claim(CLUSTER, {1, {2, 3}});
  StoreBatch batch = records(7, 2000);
  store.write(batch);
  auto view = store.view();
  PayloadCutter cutter(*view, 60_KiB);
  RecordSum read;
  std::vector<StoredRecord> all;
  while (auto payload = cutter.next()) {
    auto part = decodeRecords(*payload);
    EXPECT_TRUE(payload->size() <= (61_KiB).count || part.size() == 1) << payload->size();
    read.add(part);
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_EQ(read.count(), batch.records.size());
  EXPECT_EQ(read.hash(), cutter.sum().hash());
  Guid expected;
  for (const auto& record : batch.records) {
    expected = addHash(expected, recordHash(record.key, *record.value));
  }
  EXPECT_EQ(read.hash(), expected);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const auto& a, const auto& b) { return a.key < b.key; }));
}

class RestoreTest : public failover::ZkTest {
 protected:
  RestoreTest() : session(connect()) {
    history = patience.await(failover::bootstrap(*session, paths, CLUSTER, random)).value();
    source.claim(CLUSTER, history);
    source.write(records(1, 1000));
  }
  ~RestoreTest() noexcept override {}  // gtest's own may not throw

  SnapshotManifest writeSnapshot() {
    auto view = source.view();
    LogIndex index = view->meta().applied.index;
    SnapshotWriter writer(*session, loop.timer(), paths, index, "co2", 1_GiB);
    EXPECT_TRUE(patience.await(writer.begin()));
    PayloadCutter cutter(*view, failover::SNAPSHOT_PAYLOAD_MAX);
    while (auto payload = cutter.next()) patience.await(writer.add(*payload));
    SnapshotManifest manifest{CLUSTER, history, view->meta().applied, cutter.sum().hash(),
                              cutter.sum().count()};
    patience.await(writer.finish(manifest));
    auto bytes = patience.await(session->get(paths.snapshotManifest(index))).data;
    manifest = failover::decodeManifest(bytes);
    current(manifest);
    return manifest;
  }
  void current(const SnapshotManifest& manifest) {
    auto bytes = failover::encodeManifest(manifest);
    EXPECT_EQ(create(*session, paths.currentSnapshot(), bytes), failover::ZkCode::OK);
  }
  SnapshotManifest restore() {
    return patience.await(restoreFromCurrent({*session, paths, target, CLUSTER, history, logger}));
  }
  std::string failureOfRestore() {
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { restore(); })) {
      return exception->getDescription().cStr();
    }
    return "no failure";
  }

  Paths paths{CLUSTER};
  SeededRandom random{5};
  Logger logger;
  kj::Own<failover::CoordinationSession> session;
  HistoryId history;
  MemoryDisk sourceDisk, targetDisk;
  MemoryStore source{sourceDisk}, target{targetDisk};
};

TEST_F(RestoreTest, anEmptyStoreBecomesTheOneOfTheSnapshot) {
  SnapshotManifest manifest = writeSnapshot();
  EXPECT_EQ(restore(), manifest);
  EXPECT_EQ(recordsOf(target), recordsOf(source));
  EXPECT_EQ(target.meta()->applied, POSITION);
  EXPECT_EQ(target.meta()->historyFrom, POSITION.index.next());
  auto events = target.events({0}, 10);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, "HistoryBegins");
  EXPECT_THAT(events[0].message, HasSubstr("from index 501"));
}

TEST_F(RestoreTest, whatAStoreHadBeforeIsReplaced) {
  target.claim(CLUSTER, history);
  StoreBatch old{{{2}, {20}, {}, {}, {}}, {{"stale", "1"}}, {}, {}};
  target.write(old);
  writeSnapshot();
  restore();
  EXPECT_EQ(recordsOf(target), recordsOf(source));
}

TEST_F(RestoreTest, aDamagedChunkLeavesTheStoreUnclaimed) {
  SnapshotManifest manifest = writeSnapshot();
  std::string path = paths.snapshotChunk(manifest.position.index, 1);
  auto bytes = patience.await(session->get(path)).data;
  bytes[100] = static_cast<char>(bytes[100] ^ 4);
  patience.await(session->multi({failover::setOp(path, bytes, failover::ANY_VERSION)}));
  EXPECT_THAT(failureOfRestore(), HasSubstr("E0901 the snapshot"));
  EXPECT_FALSE(target.meta());
}

TEST_F(RestoreTest, recordsOfAnotherStateThanTheOneNamedAreRefused) {
  SnapshotManifest manifest = writeSnapshot();
  manifest.stateHash = {6, 6};
  auto bytes = failover::encodeManifest(manifest);
  patience.await(
      session->multi({failover::setOp(paths.currentSnapshot(), bytes, failover::ANY_VERSION)}));
  EXPECT_THAT(failureOfRestore(), HasSubstr("not those of the state"));
  EXPECT_FALSE(target.meta());
}

TEST_F(RestoreTest, refusesWithoutASnapshotAndOneOfAnotherHistory) {
  EXPECT_THAT(failureOfRestore(), HasSubstr("there is no snapshot"));
  SnapshotManifest manifest = writeSnapshot();
  manifest.history.number = 9;
  auto bytes = failover::encodeManifest(manifest);
  patience.await(
      session->multi({failover::setOp(paths.currentSnapshot(), bytes, failover::ANY_VERSION)}));
  EXPECT_THAT(failureOfRestore(), HasSubstr("E0704"));
}

}  // namespace
}  // namespace muster::coordinator::snapshot_test
