// What a coordinator gives of its history, and what another one takes.
#include "coordinator/history_part.h"

#include "coordinator/rocks_store.h"
#include "tests/base/temporary_folder.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <functional>

namespace muster::coordinator::history_part_test {
namespace {

const ClusterName CLUSTER{"test"};
const HistoryId HISTORY{1, {2, 3}};

std::vector<AuditEntry> auditOf(const StateStore& store) {
  std::vector<AuditEntry> rows;
  store.loadAudit([&](const AuditEntry& row) { rows.push_back(row); });
  return rows;
}

// A store with one event and one row for each index.
class HistoryPartTest : public testing::Test {
 protected:
  HistoryPartTest() { store->claim(CLUSTER, HISTORY); }
  ~HistoryPartTest() noexcept override = default;

  void write(uint64_t indices, size_t textBytes = 10) {
    for (uint64_t i = 0; i < indices; i++) {
      LogIndex index{++newest};
      StoreBatch batch{{{newest}, index, {}, {1}, {}}, {}, {}, {}, {}};
      Event event;
      event.index = index;
      event.message = std::string(textBytes, 'x');
      batch.events = {event};
      batch.audit = {{{{7, newest}, {5}}, index, "admin/anna", "accepted"}};
      store->write(batch);
    }
  }
  std::optional<HistoryPart> rows(uint64_t from, uint64_t before) const {
    return olderRows(*store->meta(), *store, HISTORY, {from}, {before});
  }

  TemporaryFolder folder;
  kj::Own<RocksStore> store = kj::heap<RocksStore>(folder / "store", StoreAccess::READ_WRITE);
  uint64_t newest = 0;
};

TEST_F(HistoryPartTest, isTheNewestOfWhatIsAsked) {
  write(HISTORY_SPAN + 10);
  auto part = rows(1, HISTORY_SPAN + 5);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->from, LogIndex{5});
  EXPECT_EQ(part->before, LogIndex{HISTORY_SPAN + 5});
  EXPECT_EQ(part->events.size(), HISTORY_SPAN);
  EXPECT_EQ(part->audit.size(), HISTORY_SPAN);
  EXPECT_EQ(part->audit.front().index, LogIndex{5});
}

TEST_F(HistoryPartTest, endsAtTheBeginningAndAtTheNewest) {
  write(5);
  EXPECT_EQ(rows(1, 4)->from, LogIndex{1});
  EXPECT_EQ(rows(3, 4)->audit.size(), 1u);
  EXPECT_FALSE(rows(1, 1));
  EXPECT_EQ(rows(1, 6)->audit.size(), 5u);
  EXPECT_FALSE(rows(1, 7));  // it has not come so far
  EXPECT_FALSE(olderRows(*store->meta(), *store, HistoryId{2, {9, 9}}, {1}, {4}));
}

TEST_F(HistoryPartTest, isCutSmallerWhenRowsAreLarge) {
  write(8, 300'000);
  auto part = rows(1, 9);
  EXPECT_LE(part->events.size(), 3u);
  EXPECT_EQ(part->before, LogIndex{9});
  write(1, HISTORY_BYTES.count * 2);
  EXPECT_EQ(rows(1, 10)->events.size(), 1u);  // never nothing
}

TEST_F(HistoryPartTest, travelsWhole) {
  write(20);
  auto part = rows(1, 16);
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::HistoryPart>();
  EXPECT_FALSE(decodeHistoryPart(out.asReader()));  // an empty answer
  encodeHistoryPart(*part, out);
  auto read = decodeHistoryPart(out.asReader());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->from, part->from);
  EXPECT_EQ(read->events, part->events);
  EXPECT_EQ(read->audit, part->audit);
}

TEST_F(HistoryPartTest, isRefusedWherePeersDisagree) {
  struct Case {
    const char* name;
    std::function<void(HistoryPart&)> spoil;
  };
  const Case CASES[] = {
      {"a row is changed", [](HistoryPart& part) { part.audit[3].principal = "admin/eve"; }},
      {"a row is missing", [](HistoryPart& part) { part.audit.pop_back(); }},
      {"rows are swapped", [](HistoryPart& part) { std::swap(part.audit[1], part.audit[2]); }},
      {"an event is changed", [](HistoryPart& part) { part.events[2].message = "y"; }},
      {"it ends elsewhere", [](HistoryPart& part) { part.before = part.before.next(); }},
      {"an event of another index", [](HistoryPart& part) { part.events[0].index = part.before; }},
  };
  write(20);
  for (const Case& c : CASES) {
    SCOPED_TRACE(c.name);
    std::vector<HistoryPart> answers{*rows(1, 16), *rows(1, 16)};
    ASSERT_EQ(unfitHistory(answers, {16}), std::nullopt);
    c.spoil(answers[1]);
    EXPECT_TRUE(unfitHistory(answers, {16}));
    std::swap(answers[0], answers[1]);
    EXPECT_TRUE(unfitHistory(answers, {16}));
  }
}

// One peer may have been restored itself, and begins later.
TEST_F(HistoryPartTest, isComparedWherePeersOverlap) {
  write(20);
  EXPECT_EQ(unfitHistory({*rows(1, 16), *rows(9, 16)}, {16}), std::nullopt);
  HistoryPart shorter = *rows(9, 16);
  shorter.audit[0].outcome = "E0301";
  EXPECT_TRUE(unfitHistory({*rows(1, 16), shorter}, {16}));
}

TEST_F(HistoryPartTest, isPutInFrontAndTheMarkOfTheBeginningGoes) {
  write(30);
  RocksStore other(folder / "other", StoreAccess::READ_WRITE);
  StoreMeta meta = *store->meta();
  meta.historyFrom = {31};
  auto replacement = other.replaceAll();
  replacement->addEvents({historyBegins({31}, {}, {})});
  replacement->finish(meta);

  HistoryPart newer = *rows(11, 31);
  newer.events.insert(newer.events.begin(), historyBegins({11}, {}, {}));
  other.addOlder(newer);
  EXPECT_EQ(other.meta()->historyFrom, LogIndex{11});
  EXPECT_EQ(other.events({0}, 100), newer.events);
  EXPECT_ANY_THROW(other.addOlder(newer));  // it is here already
  other.addOlder(*rows(1, 11));
  EXPECT_EQ(other.meta()->historyFrom, LogIndex{1});
  EXPECT_EQ(other.events({0}, 100), store->events({0}, 100));
  EXPECT_EQ(auditOf(other), auditOf(*store));
}

}  // namespace
}  // namespace muster::coordinator::history_part_test
