// The store on disk and its twin in memory keep the same promises; the one on disk also when its
// process dies.
#include "coordinator/rocks_store.h"
#include "coordinator/store_format.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/memory_store.h"

#include <gtest/gtest.h>
#include <kj/exception.h>

#include <csignal>
#include <functional>
#include <map>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::coordinator::store_test {
namespace {

const ClusterName CLUSTER{"test"};
const HistoryId HISTORY{1, {2, 3}};

using Records = std::map<std::string, std::string>;

Records recordsOf(const StateStore& store) {
  Records records;
  store.loadRecords([&](std::string_view key, std::string_view value) {
    records.emplace(std::string(key), std::string(value));
  });
  return records;
}

std::vector<AuditEntry> auditOf(const StateStore& store) {
  std::vector<AuditEntry> rows;
  store.loadAudit([&](const AuditEntry& row) { rows.push_back(row); });
  return rows;
}

LogPosition position(uint64_t batch) {
  return {{batch}, {batch * 10}, {batch, 99}, {5}, {static_cast<int64_t>(batch) * 1000}};
}

Event event(uint64_t index, uint32_t ordinal) {
  Event event;
  event.index = {index};
  event.ordinal = ordinal;
  event.type = "Ready";
  event.object = "chat/" + std::to_string(ordinal);
  event.tenant = "default";
  event.message = "text\nwith \"quotes\"";
  event.severity = Severity::WARNING;
  event.at = {17};
  event.wall = {18};
  event.principal = "admin/anna";
  return event;
}

StoreBatch batch(uint64_t number) {
  StoreBatch batch;
  batch.position = position(number);
  batch.records = {{"key", "value " + std::to_string(number)},
                   {"node/" + std::to_string(number), std::string("\0\xff", 2)}};
  batch.events = {event(number * 10, 0), event(number * 10, 1)};
  batch.audit = {{{{7, number}, {5}}, {number * 10}, "admin/anna", "accepted"}};
  return batch;
}

// Each test runs on both stores. `reopen` closes the store and opens it again.
struct Subject {
  virtual ~Subject() noexcept(false) = default;
  virtual StateStore& store() = 0;
  virtual void reopen() = 0;
};

struct OnDisk final : Subject {
  TemporaryFolder folder;
  kj::Own<RocksStore> rocks = open();
  kj::Own<RocksStore> open() {
    return kj::heap<RocksStore>(folder / "store", StoreAccess::READ_WRITE);
  }
  StateStore& store() override { return *rocks; }
  void reopen() override {
    rocks = nullptr;
    rocks = open();
  }
};

struct InMemory final : Subject {
  MemoryDisk disk;
  kj::Own<MemoryStore> memory = kj::heap<MemoryStore>(disk);
  StateStore& store() override { return *memory; }
  void reopen() override { memory = kj::heap<MemoryStore>(disk); }
};

class StoreTest : public testing::TestWithParam<const char*> {
 protected:
  StoreTest() {
    if (std::string(GetParam()) == "disk") {
      subject = kj::heap<OnDisk>();
    } else {
      subject = kj::heap<InMemory>();
    }
  }
  ~StoreTest() noexcept override = default;
  StateStore& store() { return subject->store(); }
  kj::Own<Subject> subject;
};

TEST_P(StoreTest, isUnclaimedWhenNew) {
  EXPECT_FALSE(store().meta());
  EXPECT_TRUE(recordsOf(store()).empty());
}

TEST_P(StoreTest, remembersWhoseItIs) {
  store().claim(CLUSTER, HISTORY);
  subject->reopen();
  EXPECT_EQ(store().meta(), (StoreMeta{CLUSTER, HISTORY, {}}));
  store().claim(CLUSTER, HISTORY);  // again is no harm
}

TEST_P(StoreTest, refusesAnotherClusterAndAnotherHistory) {
  store().claim(CLUSTER, HISTORY);
  EXPECT_ANY_THROW(store().claim({"other"}, HISTORY));
  EXPECT_ANY_THROW(store().claim(CLUSTER, {1, {9, 9}}));
  EXPECT_ANY_THROW(store().claim(CLUSTER, {2, {2, 3}}));
  EXPECT_EQ(store().meta(), (StoreMeta{CLUSTER, HISTORY, {}}));
}

TEST_P(StoreTest, keepsABatchWithItsPosition) {
  store().claim(CLUSTER, HISTORY);
  store().write(batch(1));
  StoreBatch second = batch(2);
  second.records.push_back({"node/1", std::nullopt});
  store().write(second);
  subject->reopen();
  EXPECT_EQ(store().meta()->applied, position(2));
  EXPECT_EQ(recordsOf(store()),
            (Records{{"key", "value 2"}, {"node/2", std::string("\0\xff", 2)}}));
  EXPECT_EQ(auditOf(store()), (std::vector<AuditEntry>{batch(1).audit[0], batch(2).audit[0]}));
}

TEST_P(StoreTest, keepsTheBytesOfTheNewestBatchesAndNoMore) {
  store().claim(CLUSTER, HISTORY);
  for (uint64_t number = 1; number <= BATCHES_KEPT + 3; number++) {
    StoreBatch one = batch(number);
    one.bytes = "bytes of " + std::to_string(number);
    store().write(one);
  }
  subject->reopen();
  EXPECT_FALSE(store().batchBytes({3}));
  EXPECT_EQ(store().batchBytes({4}), "bytes of 4");
  EXPECT_EQ(store().batchBytes({BATCHES_KEPT + 3}), "bytes of " + std::to_string(BATCHES_KEPT + 3));
  EXPECT_FALSE(store().batchBytes({BATCHES_KEPT + 4}));
}

TEST_P(StoreTest, aResetDropsTheStateAndKeepsTheBytesOfTheLog) {
  store().claim(CLUSTER, HISTORY);
  StoreBatch one = batch(1);
  one.bytes = "bytes";
  store().write(one);
  store().reset();
  subject->reopen();
  EXPECT_EQ(store().meta(), (StoreMeta{CLUSTER, HISTORY, {}}));
  EXPECT_TRUE(recordsOf(store()).empty());
  EXPECT_TRUE(store().events({0}, 10).empty());
  EXPECT_TRUE(auditOf(store()).empty());
  EXPECT_EQ(store().batchBytes({1}), "bytes");
  store().write(batch(1));
  EXPECT_EQ(store().meta()->applied, position(1));
}

TEST_P(StoreTest, givesTheNewestEventsOldestFirst) {
  store().claim(CLUSTER, HISTORY);
  for (uint64_t number : {1, 2, 30}) store().write(batch(number));
  EXPECT_EQ(store().events({0}, 3),
            (std::vector<Event>{event(20, 1), event(300, 0), event(300, 1)}));
  EXPECT_EQ(store().events({20}, 100), (std::vector<Event>{event(300, 0), event(300, 1)}));
  EXPECT_TRUE(store().events({300}, 100).empty());
}

TEST_P(StoreTest, refusesToGoBackOrToBeWrittenUnclaimed) {
  EXPECT_ANY_THROW(store().write(batch(1)));
  store().claim(CLUSTER, HISTORY);
  store().write(batch(2));
  EXPECT_ANY_THROW(store().write(batch(2)));
  EXPECT_ANY_THROW(store().write(batch(1)));
  EXPECT_EQ(store().meta()->applied, position(2));
  EXPECT_EQ(auditOf(store()).size(), 1u);
}

// All that a view gives, part by part.
StoreBatch contentOf(StoreView& view) {
  StoreBatch all{view.meta().applied, {}, {}, {}};
  for (;;) {
    auto records = view.nextRecords(Bytes{1});
    auto events = view.nextEvents(1);
    auto audit = view.nextAudit(1);
    if (records.empty() && events.empty() && audit.empty()) return all;
    for (auto& record : records) all.records.push_back({record.key, record.value});
    for (auto& event : events) all.events.push_back(event);
    for (auto& row : audit) all.audit.push_back(row);
  }
}

TEST_P(StoreTest, keepsAViewAsItWasWhileItIsWritten) {
  store().claim(CLUSTER, HISTORY);
  store().write(batch(1));
  auto view = store().view();
  StoreBatch second = batch(2);
  second.records.push_back({"node/1", std::nullopt});
  store().write(second);
  StoreBatch seen = contentOf(*view);
  EXPECT_EQ(seen.position, position(1));
  EXPECT_EQ(seen.records, batch(1).records);
  EXPECT_EQ(seen.events, batch(1).events);
  EXPECT_EQ(seen.audit, batch(1).audit);
}

TEST_P(StoreTest, givesTheRecordsOfAViewInPartsOfTheSizeAsked) {
  store().claim(CLUSTER, HISTORY);
  StoreBatch large{position(1), {}, {}, {}};
  for (int i = 0; i < 10; i++) large.records.push_back({"k" + std::to_string(i), "12345678"});
  store().write(large);
  auto view = store().view();
  EXPECT_EQ(view->nextRecords(Bytes{40}).size(), 4u);
  EXPECT_EQ(view->nextRecords(Bytes{1000}).size(), 6u);
  EXPECT_TRUE(view->nextRecords(Bytes{1000}).empty());
}

TEST_P(StoreTest, isReplacedWholeAndThenGoesOn) {
  store().claim(CLUSTER, HISTORY);
  store().write(batch(9));
  HistoryId another{2, {5, 5}};
  StoreMeta meta{CLUSTER, another, position(3)};
  meta.historyFrom = {31};
  auto replacement = store().replaceAll();
  replacement->addRecords({{"a", "1"}, {"b", "2"}});
  replacement->addRecords({{"c", "3"}});
  replacement->addEvents(batch(3).events);
  replacement->addAudit(batch(3).audit);
  EXPECT_FALSE(store().meta());
  replacement->finish(meta);
  subject->reopen();
  EXPECT_EQ(store().meta(), meta);
  EXPECT_EQ(recordsOf(store()), (Records{{"a", "1"}, {"b", "2"}, {"c", "3"}}));
  EXPECT_EQ(store().events({0}, 10), batch(3).events);
  EXPECT_EQ(auditOf(store()), batch(3).audit);
  store().write(batch(4));
  EXPECT_EQ(store().meta()->historyFrom, meta.historyFrom);
}

TEST_P(StoreTest, isEmptyAndUnclaimedAfterAReplacementThatWasNotFinished) {
  store().claim(CLUSTER, HISTORY);
  store().write(batch(1));
  store().replaceAll()->addRecords({{"half", "1"}});
  subject->reopen();
  EXPECT_FALSE(store().meta());
  store().claim(CLUSTER, HISTORY);
  EXPECT_TRUE(recordsOf(store()).empty());
  EXPECT_TRUE(store().events({0}, 10).empty());
}

INSTANTIATE_TEST_SUITE_P(Both, StoreTest, testing::Values("disk", "memory"),
                         [](const auto& info) { return std::string(info.param); });

TEST(MemoryStore, losesOnlyWholeBatchesThatWereNotSynced) {
  MemoryDisk disk;
  disk.unsyncedMax = 2;
  MemoryStore store(disk);
  store.claim(CLUSTER, HISTORY);
  for (uint64_t number : {1, 2, 3}) store.write(batch(number));
  disk.losePower(1);
  EXPECT_EQ(MemoryStore(disk).meta()->applied, position(2));
  EXPECT_EQ(recordsOf(MemoryStore(disk)).at("key"), "value 2");
}

TEST(MemoryStore, saysThatTheDiskIsFullAndChangesNothing) {
  MemoryDisk disk;
  MemoryStore store(disk);
  store.claim(CLUSTER, HISTORY);
  disk.full = true;
  EXPECT_ANY_THROW(store.write(batch(1)));
  EXPECT_EQ(store.meta()->applied, LogPosition{});
}

// A child process that writes batches and tells through a pipe which ones it has written; it is
// killed in the middle.
class WritingChild {
 public:
  explicit WritingChild(const std::string& folder) {
    int ends[2];
    KJ_SYSCALL(pipe(ends));
    KJ_SYSCALL(pid_ = fork());
    if (pid_ == 0) {
      close(ends[0]);
      writeForEver(folder, ends[1]);
    }
    close(ends[1]);
    from_ = ends[0];
  }
  ~WritingChild() {
    kill();
    close(from_);
  }
  uint64_t awaitBatch(uint64_t number) {
    uint64_t written = 0;
    while (written < number) {
      ssize_t n = 0;
      KJ_SYSCALL(n = read(from_, &written, sizeof written));
      KJ_REQUIRE(n == sizeof written, "the child ended by itself");
    }
    return written;
  }
  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  [[noreturn]] static void writeForEver(const std::string& folder, int to) {
    RocksStore store(folder, StoreAccess::READ_WRITE);
    store.claim(CLUSTER, HISTORY);
    for (uint64_t number = 1;; number++) {
      store.write(batch(number));
      if (::write(to, &number, sizeof number) != sizeof number) _exit(1);
    }
  }
  pid_t pid_ = 0;
  int from_ = -1;
};

TEST(RocksStore, losesNothingThatWasWrittenWhenItsProcessIsKilled) {
  TemporaryFolder folder;
  for (uint64_t enough : {1, 50, 400}) {
    TemporaryFolder fresh;
    WritingChild child(fresh / "store");
    uint64_t told = child.awaitBatch(enough);
    child.kill();
    RocksStore store(fresh / "store", StoreAccess::READ_WRITE);
    uint64_t applied = store.meta()->applied.batch.value;
    EXPECT_GE(applied, told);
    // Whole batches only: position, records and audit rows agree.
    EXPECT_EQ(store.meta()->applied, position(applied));
    EXPECT_EQ(recordsOf(store).at("key"), "value " + std::to_string(applied));
    EXPECT_EQ(recordsOf(store).size(), applied + 1);
    EXPECT_EQ(auditOf(store).size(), applied);
  }
}

// In a child, because the limit is the process's: writes until the limit on file sizes stands for a
// full disk. Exits with 0 when the refusal says so.
[[noreturn]] void writeUntilFull(const std::string& folder) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{1 << 20, 1 << 20};
  setrlimit(RLIMIT_FSIZE, &limit);
  auto failed = kj::runCatchingExceptions([&] {
    RocksStore store(folder, StoreAccess::READ_WRITE);
    store.claim(CLUSTER, HISTORY);
    for (uint64_t number = 1; number <= 1000; number++) {
      StoreBatch large = batch(number);
      large.records.push_back({"large/" + std::to_string(number), std::string(10'000, 'x')});
      store.write(large);
    }
  });
  KJ_IF_MAYBE (why, failed) {
    _exit(std::string(why->getDescription().cStr()).find("E0707 disk full") != std::string::npos
              ? 0
              : 2);
  }
  _exit(3);
}

TEST(RocksStore, saysThatTheDiskIsFullAndKeepsWholeBatches) {
  TemporaryFolder folder;
  pid_t pid = fork();
  if (pid == 0) writeUntilFull(folder / "store");
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  RocksStore store(folder / "store", StoreAccess::READ_WRITE);
  uint64_t applied = store.meta()->applied.batch.value;
  EXPECT_GT(applied, 10u);
  EXPECT_LT(applied, 1000u);
  EXPECT_EQ(recordsOf(store).at("key"), "value " + std::to_string(applied));
  EXPECT_EQ(auditOf(store).size(), applied);
}

TEST(RocksStore, isReadWhileAnotherProcessMayNotWriteIt) {
  TemporaryFolder folder;
  RocksStore store(folder / "store", StoreAccess::READ_WRITE);
  store.claim(CLUSTER, HISTORY);
  store.write(batch(1));
  auto second = kj::runCatchingExceptions(
      [&] { RocksStore another(folder / "store", StoreAccess::READ_WRITE); });
  KJ_IF_MAYBE (why, second) {
    EXPECT_NE(std::string(why->getDescription().cStr()).find("E0710"), std::string::npos)
        << why->getDescription().cStr();
  } else {
    ADD_FAILURE() << "two writers";
  }
}

TEST(RocksStore, keepsTheEventsAndAuditRowsOfTheNewestCommands) {
  TemporaryFolder folder;
  RocksStore store(folder / "store", StoreAccess::READ_WRITE, 100);
  store.claim(CLUSTER, HISTORY);
  for (uint64_t number = 1; number <= 50; number++) store.write(batch(number));  // to index 500
  LogIndex from = store.meta()->historyFrom;
  EXPECT_GE(from.value, 380u);
  EXPECT_LE(from.value, 400u);
  EXPECT_EQ(store.events({0}, 1000).front().index.value, (from.value + 9) / 10 * 10);
  EXPECT_EQ(auditOf(store).front().index.value, (from.value + 9) / 10 * 10);
  EXPECT_EQ(store.events({0}, 1000).back().index.value, 500u);
  EXPECT_EQ(recordsOf(store).size(), 51u);  // records are not touched
}

TEST(RocksStore, knowsAboutHowManyBytesItsRecordsHave) {
  TemporaryFolder folder;
  {
    RocksStore store(folder / "store", StoreAccess::READ_WRITE);
    store.claim(CLUSTER, HISTORY);
    StoreBatch large = batch(1);
    for (int i = 0; i < 1000; i++) {
      large.records.push_back({"large/" + std::to_string(i), std::string(1000, 'x')});
    }
    store.write(large);
  }
  RocksStore store(folder / "store", StoreAccess::READ_WRITE);
  EXPECT_GE(store.recordBytes().count, 1'000'000u);
  EXPECT_LE(store.recordBytes().count, 3'000'000u);
}

TEST(RocksStore, refusesToMakeAStoreThatItShallOnlyRead) {
  TemporaryFolder folder;
  EXPECT_ANY_THROW(RocksStore(folder / "nothing", StoreAccess::READ_ONLY));
}

TEST(StoreFormat, printsAnAuditRowAsOneJsonLine) {
  AuditEntry row{{{0xab, 1}, {5}}, {7}, "admin/anna", "E0301"};
  EXPECT_EQ(
      auditJson(row),
      R"({"request_id":"00000000000000ab0000000000000001","index":7,"principal":"admin/anna","outcome":"E0301"})");
}

TEST(StoreFormat, sortsKeysAsNumbers) {
  EXPECT_LT(auditKey({255}), auditKey({256}));
  EXPECT_LT(eventKey({255}, 9), eventKey({256}, 0));
  EXPECT_LT(eventKey({256}, 1), eventKey({256}, 300));
}

TEST(StoreFormat, refusesBytesThatAreNoValue) {
  EXPECT_ANY_THROW(decodeMeta(""));
  EXPECT_ANY_THROW(decodeMeta("12345"));
  EXPECT_ANY_THROW(decodeAudit(std::string(64, '\xff')));
}

}  // namespace
}  // namespace muster::coordinator::store_test
