// From a store into a backup and back, and into a tree that gets a new history: the same records,
// the same hash, and nothing changed where it is refused.
#include "base/files.h"
#include "coordinator/backup_restore.h"
#include "coordinator/backup_stream.h"
#include "failover/bootstrap.h"
#include "failover/log_reader.h"
#include "failover/records.h"
#include "failover/snapshot_reader.h"
#include "tests/base/temporary_folder.h"
#include "tests/crash/crash_model.h"
#include "tests/failover/zk_fixture.h"
#include "tests/support/memory_store.h"

#include <gmock/gmock.h>

namespace muster::coordinator::backup_test {
namespace {

using failover::EpochView;
using failover::Paths;
using failover::ZkCode;
using testing::HasSubstr;

constexpr uint64_t BATCHES = 60;

struct Kept {
  std::vector<StoredRecord> records;
  std::vector<Event> events;
  std::vector<AuditEntry> audit;
  bool operator==(const Kept&) const = default;
};

Kept contentOfStore(const StateStore& store) {
  Kept kept;
  store.loadRecords([&](std::string_view key, std::string_view value) {
    kept.records.push_back({std::string(key), std::string(value)});
  });
  kept.events = store.events({}, SIZE_MAX);
  store.loadAudit([&](const AuditEntry& row) { kept.audit.push_back(row); });
  return kept;
}

// A store with some batches, and a backup of it.
struct Sample {
  MemoryDisk disk;
  MemoryStore store{disk};
  TemporaryFolder folder;
  std::string file = folder / "backup";
  CrashModel model{7};

  Sample() {
    store.claim(CRASH_CLUSTER, CRASH_HISTORY);
    for (uint64_t number = 1; number <= BATCHES; ++number) store.write(crashBatch(7, number));
    BackupStream stream(store.view(), {{"co1"}, "0.1.0", 1, {5}});
    std::string bytes;
    while (!stream.isOver()) bytes += stream.next();
    KJ_REQUIRE(writeFileAtomically(file, bytes, 0600).ok());
  }
  kj::Own<BackupSource> source() {
    auto opened = openBackupFile(file);
    return kj::mv(*opened);
  }
  Guid hash() { return model.hashAfter(BATCHES); }
};

TEST(BackupStream, isTheStoreAsItWasAfterOneBatch) {
  Sample sample;
  auto before = contentOfStore(sample.store);
  auto source = sample.source();
  EXPECT_EQ(source->header().position, crashPosition(BATCHES));
  EXPECT_EQ(source->header().cluster, CRASH_CLUSTER);
  EXPECT_EQ(source->end().stateHash, sample.hash());
  MemoryDisk disk;
  MemoryStore other(disk);
  StoreMeta meta{CRASH_CLUSTER, {2, {1, 1}}, crashPosition(BATCHES)};
  fillStore(other, *source, meta);
  EXPECT_EQ(contentOfStore(other), before);
  EXPECT_EQ(other.meta(), meta);
}

TEST(BackupStream, doesNotSeeWhatIsWrittenWhileItIsRead) {
  Sample sample;
  BackupStream stream(sample.store.view(), {{"co1"}, "0.1.0", 1, {5}});
  sample.store.write(crashBatch(7, BATCHES + 1));
  while (!stream.isOver()) stream.next();
  EXPECT_EQ(stream.end().stateHash, sample.hash());
  EXPECT_EQ(stream.header().position, crashPosition(BATCHES));
}

TEST(BackupSource, readsAStoreAsItReadsAFile) {
  Sample sample;
  auto source = openStoreAsSource(sample.store, {"co1"});
  ASSERT_TRUE(source.ok());
  sample.store.write(crashBatch(7, BATCHES + 1));
  EXPECT_EQ((*source)->end().stateHash, sample.hash());
  MemoryDisk disk;
  MemoryStore unclaimed(disk);
  EXPECT_EQ(openStoreAsSource(unclaimed, {"co1"}).refusal().code, RefusalCode::NOT_FOUND);
}

TEST(BackupSource, refusesAFileThatIsDamaged) {
  Sample sample;
  std::string bytes = contentOf(sample.file);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(writeFileAtomically(sample.file, bytes, 0600).ok());
  auto opened = openBackupFile(sample.file);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.refusal().text, HasSubstr("damaged at byte"));
}

class RestoreHistory : public failover::ZkTest {
 protected:
  RestoreHistory() : session(connect()) {}
  ~RestoreHistory() noexcept override {}

  Result<RestoredHistory> restore(const ClusterName& cluster = CRASH_CLUSTER) {
    auto source = sample.source();
    return patience.await(
        restoreHistory({*session, loop.timer(), random, cluster, {"co1"}, {1'000}}, *source));
  }
  EpochView epoch() {
    auto read = patience.await(failover::readEpoch(*session, paths));
    return KJ_ASSERT_NONNULL(read);
  }
  std::vector<std::string> names(const std::string& path) {
    return patience.await(session->list(path)).children;
  }
  // What a coordinator that comes to this tree finds.
  void expectRestored(const RestoredHistory& restored) {
    EXPECT_EQ(restored.stateHash, sample.hash());
    EXPECT_EQ(restored.meta.applied.index, crashPosition(BATCHES).index);
    EXPECT_EQ(epoch().history, restored.meta.history);
    EXPECT_EQ(epoch().leader, CoordinatorId{});
    auto read = patience.await(failover::readCurrentSnapshot(*session, paths));
    auto& current = KJ_ASSERT_NONNULL(read);
    EXPECT_EQ(current.manifest.stateHash, sample.hash());
    EXPECT_EQ(current.manifest.position, restored.meta.applied);
    failover::LogReader reader(*session, paths, restored.meta.history, restored.meta.applied);
    patience.await(reader.verifyPosition());
    EXPECT_TRUE(patience.await(reader.next()) == nullptr);
    EXPECT_TRUE(patience.await(reader.proveEnd()));
    EXPECT_EQ(names(paths.log()).size(), 1u);
  }

  Sample sample;
  Paths paths{CRASH_CLUSTER};
  SeededRandom random{5};
  kj::Own<failover::CoordinationSession> session;
};

TEST_F(RestoreHistory, makesAHistoryWhereThereIsNothing) {
  auto restored = restore();
  ASSERT_TRUE(restored.ok()) << restored.refusal().text;
  EXPECT_EQ(restored->meta.history.number, CRASH_HISTORY.number + 1);
  expectRestored(*restored);
}

TEST_F(RestoreHistory, takesThePlaceOfAHistoryWithALongerLog) {
  auto made = patience.await(failover::bootstrap(*session, paths, CRASH_CLUSTER, random));
  for (uint64_t number = 1; number <= BATCHES + 500; ++number) {
    ASSERT_EQ(create(*session, paths.batch({number}), "of the old history"), ZkCode::OK);
  }
  auto restored = restore();
  ASSERT_TRUE(restored.ok()) << restored.refusal().text;
  EXPECT_EQ(restored->meta.history.number, made->number + 1);
  EXPECT_EQ(restored->meta.applied.batch.value, BATCHES + 501);
  expectRestored(*restored);
}

TEST_F(RestoreHistory, canBeRepeatedAndGivesAHigherHistoryEachTime) {
  auto first = restore();
  ASSERT_TRUE(first.ok()) << first.refusal().text;
  auto second = restore();
  ASSERT_TRUE(second.ok()) << second.refusal().text;
  EXPECT_EQ(second->meta.history.number, first->meta.history.number + 1);
  EXPECT_GE(second->meta.applied.epoch, first->meta.applied.epoch);
  expectRestored(*second);
}

TEST_F(RestoreHistory, refusesAnotherClusterAndChangesNothing) {
  auto restored = restore({"other"});
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.refusal().code, RefusalCode::INVALID_VALUE);
  EXPECT_THAT(restored.refusal().text, HasSubstr("of cluster crash"));
  EXPECT_EQ(patience.await(session->get(Paths({"other"}).root)).code, ZkCode::NO_NODE);
}

TEST_F(RestoreHistory, refusesWhileACoordinatorStandsInLine) {
  auto made = patience.await(failover::bootstrap(*session, paths, CRASH_CLUSTER, random));
  std::string place = paths.candidatePrefix(random.guid()) + "0000000001";
  ASSERT_EQ(create(*session, place, "", failover::CreateMode::EPHEMERAL), ZkCode::OK);
  auto restored = restore();
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.refusal().code, RefusalCode::ALREADY_RUNNING);
  EXPECT_EQ(epoch().history, *made);
  EXPECT_TRUE(names(paths.snapshot()).empty());
}

}  // namespace
}  // namespace muster::coordinator::backup_test
