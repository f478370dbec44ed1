// The schema level: when it rises, and what a binary below it does.
#include "coordinator/core/record.h"
#include "coordinator/follower.h"
#include "coordinator/schema_raiser.h"
#include "protocol/codec.h"
#include "tests/support/memory_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::coordinator::schema_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint32_t OURS = 3;  // level of this binary; the tests below would say so if it rose
const HistoryId HISTORY{1, {11, 12}};

CoordinatorView reporting(const char* id, uint32_t level) {
  CoordinatorView view;
  view.id = {id};
  view.reachable = level != 0;
  view.schemaLevelMax = level;
  return view;
}

Command raisedTo(uint32_t level) {
  return {.schemaVersion = SCHEMA_LEVEL_FIRST,
          .principal = "coordinator/co1",
          .decidedAt = {5},
          .body = SchemaLevelRaised{level, {{"co1"}, {"co2"}, {"co3"}}}};
}

// The text of the exception that `act` throws, which stops a coordinator for good; empty: none.
template <class Act>
std::string stopsWith(Act act) {
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions(act)) {
    EXPECT_EQ(exception->getType(), kj::Exception::Type::UNIMPLEMENTED);
    return exception->getDescription().cStr();
  }
  return "";
}

struct AgreementCase {
  const char* name;
  uint32_t stateLevel;
  std::vector<CoordinatorView> reports;
  std::optional<uint32_t> raised;  // after the quiet time
};

TEST(SchemaAgreement, raisesToWhatAllConfiguredCoordinatorsUnderstand) {
  auto all = [](uint32_t a, uint32_t b, uint32_t c) {
    return std::vector{reporting("co1", a), reporting("co2", b), reporting("co3", c)};
  };
  const AgreementCase CASES[] = {
      {"all understand it", 2, all(3, 3, 3), 3},
      {"all understand more than the next", 1, all(3, 3, 3), 3},
      {"some understand more than we do", 2, all(3, 4, 4), 3},
      {"some understand less than we do", 1, all(2, 3, 3), 2},
      {"nobody understands more than the state has", 1, all(1, 1, 1), std::nullopt},
      {"others understand more, we do not", 3, all(4, 4, 4), std::nullopt},
      {"one cannot be asked", 2, all(3, 0, 3), std::nullopt},
      {"nobody is configured", 1, {}, std::nullopt},
  };
  ASSERT_EQ(schemaLevelUnderstood(), OURS);
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.name);
    SchemaAgreement agreement(10_s);
    SteadyTime start{1'000'000'000};
    EXPECT_EQ(agreement.take(c.stateLevel, c.reports, start), std::nullopt);
    EXPECT_EQ(agreement.take(c.stateLevel, c.reports, start + 9_s), std::nullopt);
    EXPECT_EQ(agreement.take(c.stateLevel, c.reports, start + 10_s), c.raised);
  }
}

TEST(SchemaAgreement, aMemberThatWasAwayStartsTheQuietTimeAnew) {
  SchemaAgreement agreement(10_s);
  SteadyTime start{1'000'000'000};
  std::vector there{reporting("co1", 1), reporting("co2", 1)};
  std::vector away{reporting("co1", 1), reporting("co2", 0)};
  EXPECT_EQ(agreement.take(0, there, start), std::nullopt);
  EXPECT_EQ(agreement.take(0, away, start + 8_s), std::nullopt);
  EXPECT_EQ(agreement.take(0, there, start + 11_s), std::nullopt);
  EXPECT_EQ(agreement.take(0, there, start + 21_s), 1u);
}

TEST(SchemaLevel, risesAndNeverFalls) {
  State state = emptyState(HISTORY);
  EXPECT_EQ(state.schemaLevel, SCHEMA_LEVEL_FIRST);
  EXPECT_TRUE(apply(state, {1}, raisedTo(SCHEMA_LEVEL_FIRST)).rejected);
  Applied applied = apply(state, {2}, raisedTo(3));
  EXPECT_FALSE(applied.rejected);
  EXPECT_EQ(state.schemaLevel, 3u);
  ASSERT_EQ(applied.events.size(), 1u);
  EXPECT_EQ(applied.events[0].type, "SchemaLevelRaised");
  EXPECT_THAT(applied.events[0].message, HasSubstr("from 1 to 3, understood by co1, co2, co3"));
  EXPECT_TRUE(apply(state, {3}, raisedTo(2)).rejected);
  EXPECT_EQ(state.schemaLevel, 3u);
}

TEST(SchemaLevel, commandsCarryTheLevelOfTheState) {
  State state = emptyState(HISTORY);
  Request request{"coordinator/co1", {}, LeaderStarted{{"co1"}, {1}, "first leader", {1, 2}}};
  EXPECT_EQ(decide(state, request, {9}, {1})->command->schemaVersion, SCHEMA_LEVEL_FIRST);
  apply(state, {1}, raisedTo(2));
  EXPECT_EQ(decide(state, request, {9}, {1})->command->schemaVersion, 2u);
}

// The store of a binary above ours.
TEST(SchemaLevel, aStateAboveOurLevelIsNotRead) {
  State state = emptyState(HISTORY);
  apply(state, {1}, raisedTo(OURS + 1));
  auto records = allRecords(state);
  // What stands in such records is not ours to judge; the level is looked at before them.
  records.insert(records.begin(), {"deployment/of another form", "12345678"});
  EXPECT_THAT(stopsWith([&] { (void)loadState(records); }),
              AllOf(HasSubstr("E0712 the stored state is of schema level 4"),
                    HasSubstr("understands levels up to 3")));
}

TEST(SchemaLevel, aFollowerStopsAtTheRaiseAndStoresNothingOfIt) {
  MemoryDisk disk;
  MemoryStore store(disk);
  CoordinatorFacts facts;
  Logger logger{LogOptions{.output = [](std::string_view) {}}};
  Follower follower(store, facts, logger);
  follower.open({"test"}, HISTORY);
  failover::ReadBatch read;
  read.batch.history = HISTORY;
  read.batch.number = {1};
  read.batch.firstIndex = {1};
  read.batch.commands = {encodeCommand(raisedTo(OURS + 1))};
  read.position = {{1}, {1}, {}, {1}, {}};
  EXPECT_THAT(stopsWith([&] { follower.take(read); }), HasSubstr("E0712"));
  EXPECT_EQ(store.meta()->applied, LogPosition{});
}

}  // namespace
}  // namespace muster::coordinator::schema_test
