// Alarms are raised once, say what is held and what to do, and end.
#include "coordinator/alarms.h"

#include "coordinator/alarm_texts.h"

#include <gtest/gtest.h>

#include <set>

namespace muster::coordinator::alarms_test {
namespace {

using failover::FoundFault;
using failover::LogFault;

StoreMeta held() {
  StoreMeta meta;
  meta.cluster = {"test"};
  meta.history = {2, {0xab, 0xcd}};
  meta.applied.batch = {17};
  meta.applied.index = {42};
  meta.applied.epoch = {3};
  return meta;
}

TEST(Alarms, eachHasANameOfItsOwn) {
  std::set<std::string> names;
  for (AlarmKind kind : ALARM_KINDS) names.insert(std::string(toText(kind)));
  EXPECT_EQ(names.size(), ALARM_KINDS.size());
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(Alarms, areToldOnceUntilTheySaySomethingElse) {
  Alarms alarms;
  EXPECT_TRUE(alarms.raise(AlarmKind::LOG_LOST, "batch 7"));
  EXPECT_FALSE(alarms.raise(AlarmKind::LOG_LOST, "batch 7"));
  EXPECT_TRUE(alarms.raise(AlarmKind::LOG_LOST, "batch 8"));
  EXPECT_EQ(alarms.active().at(AlarmKind::LOG_LOST), "batch 8");
  EXPECT_EQ(alarms.raised(AlarmKind::LOG_LOST), 1u);
  EXPECT_TRUE(alarms.clear(AlarmKind::LOG_LOST));
  EXPECT_FALSE(alarms.clear(AlarmKind::LOG_LOST));
  EXPECT_TRUE(alarms.active().empty());
  alarms.raise(AlarmKind::LOG_LOST, "batch 8");
  EXPECT_EQ(alarms.raised(AlarmKind::LOG_LOST), 2u);
}

TEST(Alarms, sayWhatIsHeldAndWhatToDo) {
  auto lost = lossTrouble("batch 18 is gone", held());
  auto empty = emptyTrouble("/muster-test/epoch", held());
  auto other = historyTrouble({2, {1, 1}}, held());
  ASSERT_TRUE(other);
  for (const Trouble& trouble : {lost, empty, *other}) {
    EXPECT_NE(trouble.text.find(toText(held().history.guid)), std::string::npos) << trouble.text;
    EXPECT_NE(trouble.text.find("index 42 (batch 17, epoch 3)"), std::string::npos) << trouble.text;
    EXPECT_NE(trouble.text.find("nothing is written"), std::string::npos) << trouble.text;
    EXPECT_NE(trouble.text.find("Next: "), std::string::npos) << trouble.text;
  }
}

TEST(Alarms, aHigherHistoryWinsAndEveryOtherIsRefused) {
  EXPECT_FALSE(historyTrouble(held().history, held()));
  EXPECT_FALSE(historyTrouble({3, {1, 1}}, held()));
  EXPECT_TRUE(historyTrouble({2, {1, 1}}, held()));
  EXPECT_TRUE(historyTrouble({1, {0xab, 0xcd}}, held()));
}

TEST(Alarms, aFaultOfTheLogIsAnAlarmUnlessItMeansToStopOrToRestore) {
  auto kindOf = [](LogFault fault) {
    auto trouble = troubleOf(FoundFault(fault, "batch 18", BatchNumber{18}), held());
    return trouble ? std::optional(trouble->kind) : std::nullopt;
  };
  for (LogFault fault : {LogFault::CORRUPT, LogFault::CHAIN_BROKEN, LogFault::HOLE}) {
    EXPECT_EQ(kindOf(fault), AlarmKind::LOG_CORRUPT);
  }
  EXPECT_EQ(kindOf(LogFault::LOST_SUFFIX), AlarmKind::ZOOKEEPER_OLD);
  EXPECT_EQ(kindOf(LogFault::HISTORY_DIFFERS), AlarmKind::HISTORY_DIFFERS);
  EXPECT_EQ(kindOf(LogFault::UNKNOWN_FORMAT), std::nullopt);
  EXPECT_EQ(kindOf(LogFault::TRIMMED), std::nullopt);
}

}  // namespace
}  // namespace muster::coordinator::alarms_test
