// The leader's pipeline and the follower behind it, on a log in memory that commits when the test
// says so.
#include "coordinator/driver.h"

#include "coordinator/core/record.h"
#include "coordinator/follower.h"
#include "protocol/codec.h"
#include "tests/support/fake_leadership.h"
#include "tests/support/memory_store.h"

#include <gtest/gtest.h>
#include <kj/async.h>

namespace muster::coordinator::driver_test {
namespace {

const ClusterName CLUSTER{"test"};

class StillClock final : public Clock {
 public:
  SteadyTime steadyNow() const override { return steady; }
  WallTime wallNow() const override { return {1'700'000'000'000}; }
  SteadyTime steady{1'000};
};

NodeInfo nodeInfo(const std::string& name) {
  NodeInfo node;
  node.name = {name};
  node.address = "127.0.0.1";
  node.devices = {{{0}, "cpu", name + "-0", 4_GiB, 0}};
  node.version = "0.1.0";
  return node;
}

// A coordinator's disk and memory, as a follower; a driver is made on top of it.
struct Host {
  explicit Host(const failover::FakeLog& log) { follower.open(CLUSTER, log.history); }
  MemoryDisk disk;
  MemoryStore store{disk};
  CoordinatorFacts facts;
  Logger logger{LogOptions{.output = [](std::string_view) {}}};
  Follower follower{store, facts, logger};
};

class DriverTest : public testing::Test {
 public:
  ~DriverTest() noexcept override = default;

 protected:
  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  StillClock clock;
  ClusterClock clusterClock{clock, Instant{5'000}};
  failover::FakeLog log;
  Host host{log};
  failover::FakeLeadership leadership{log, Epoch{3}, clock};
  Driver driver{
      {host.follower.lend(), leadership, host.store, clusterClock, clock, host.facts, host.logger}};

  LogIndex registerNode(const std::string& name) {
    auto index = driver.propose(NodeRegistered{nodeInfo(name), {1, 2}}, "coordinator/co1");
    KJ_REQUIRE(index.ok(), index.refusal().text.c_str());
    return *index;
  }
  void registeredNode(const std::string& name) {
    registerNode(name);
    leadership.commitAll();
  }
  Request cordon(const std::string& node, uint64_t id, const std::string& reason = "fan") {
    return {"admin/anna", {{77, id}, clusterClock.now()}, NodeCordoned{{node}, reason}};
  }
  // A follower on a disk of its own that reads the whole log.
  Guid hashOfFollower() {
    Host another(log);
    for (const auto& batch : log.batches) another.follower.take(batch);
    return another.follower.state().hash();
  }
};

TEST_F(DriverTest, answersWhenTheCommandIsCommittedAndNotBefore) {
  registeredNode("gpu01");
  auto answer = driver.submit(cordon("gpu01", 1));
  EXPECT_FALSE(answer.poll(scope));
  EXPECT_TRUE(driver.state().findNode({"gpu01"})->cordon);  // the leader itself goes on at once
  leadership.commit();
  auto outcome = answer.wait(scope);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->index, driver.committedIndex());
  EXPECT_FALSE(outcome->rejected);
}

TEST_F(DriverTest, aRefusalWaitsForWhatItRestsOnAndForAProof) {
  registeredNode("gpu01");
  registerNode("gpu02");  // in flight: the refusal below rests on it
  auto refused = driver.submit(cordon("nowhere", 1));
  leadership.prove();
  EXPECT_FALSE(refused.poll(scope));
  leadership.commit();
  auto outcome = refused.wait(scope);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.refusal().code, RefusalCode::NOT_FOUND);

  auto unproven = driver.submit(cordon("nowhere", 2));
  EXPECT_FALSE(unproven.poll(scope));
  leadership.prove();
  EXPECT_FALSE(unproven.wait(scope).ok());
}

TEST_F(DriverTest, theSameRequestInFlightTakesEffectOnceAndGetsTheSameAnswer) {
  registeredNode("gpu01");
  auto first = driver.submit(cordon("gpu01", 1));
  auto retry = driver.submit(cordon("gpu01", 1));
  EXPECT_EQ(leadership.inFlight(), 1u);
  leadership.prove();
  EXPECT_FALSE(retry.poll(scope));  // its first answer is not committed yet
  leadership.commit();
  auto one = first.wait(scope);
  auto two = retry.wait(scope);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(*one, *two);

  auto late = driver.submit(cordon("gpu01", 1));
  EXPECT_EQ(leadership.inFlight(), 0u);
  leadership.prove();
  EXPECT_EQ(*late.wait(scope), *one);
}

TEST_F(DriverTest, theStoreGetsEachBatchsOwnWritesNotTheMemoryOfNow) {
  registerNode("gpu01");
  registerNode("gpu02");
  leadership.commit();
  std::vector<std::string> keys;
  host.store.loadRecords([&](std::string_view key, std::string_view) { keys.emplace_back(key); });
  EXPECT_EQ(std::count(keys.begin(), keys.end(), "node/gpu01"), 1);
  EXPECT_EQ(std::count(keys.begin(), keys.end(), "node/gpu02"), 0);
  EXPECT_EQ(host.store.meta()->applied, log.end());
}

TEST_F(DriverTest, commandsOfOneBatchAreStoredTogether) {
  registerNode("gpu01");
  registerNode("gpu02");
  leadership.commit(2);
  EXPECT_EQ(host.disk.writes, 1u);
  EXPECT_EQ(host.store.meta()->applied.index, driver.state().applied);
}

TEST_F(DriverTest, aLeaderThatLosesTheLogDropsWhatWasInFlight) {
  registeredNode("gpu01");
  auto unknown = driver.submit(cordon("gpu01", 1));
  auto read = driver.read<bool>(ReadMode::COMMITTED, [](const State& state) {
    return state.findNode({"gpu01"})->cordon.has_value();
  });
  leadership.lose();
  driver.end(KJ_EXCEPTION(DISCONNECTED, "fenced"));
  auto failed = kj::runCatchingExceptions([&] { static_cast<void>(unknown.wait(scope)); });
  KJ_IF_MAYBE (why, failed) {
    EXPECT_EQ(why->getType(), kj::Exception::Type::DISCONNECTED);
  } else {
    ADD_FAILURE() << "an answer that nobody may know";
  }
  EXPECT_ANY_THROW(read.wait(scope));
  EXPECT_ANY_THROW(static_cast<void>(driver.submit(cordon("gpu01", 2)).wait(scope)));
  EXPECT_FALSE(driver.propose(NodeRegistered{nodeInfo("gpu09"), {}}, "coordinator/co1").ok());

  EXPECT_TRUE(host.follower.state().findNode({"gpu01"})->cordon);
  host.follower.takeBack();
  EXPECT_FALSE(host.follower.state().findNode({"gpu01"})->cordon);
  EXPECT_EQ(host.follower.position(), log.end());
  EXPECT_EQ(host.follower.state().hash(), hashOfFollower());
}

TEST_F(DriverTest, aLeaderWithNothingInFlightGivesItsStateBackWithoutLoadingIt) {
  registeredNode("gpu01");
  driver.end(KJ_EXCEPTION(DISCONNECTED, "handed over"));
  host.disk.content.records.clear();  // whoever loads it finds nothing
  host.follower.takeBack();
  EXPECT_EQ(host.follower.position(), log.end());
  EXPECT_EQ(host.follower.state().hash(), hashOfFollower());
}

TEST_F(DriverTest, nothingIsAppliedOnceTheLogTakesNothingMore) {
  registeredNode("gpu01");
  leadership.lose();  // and nobody has told the driver yet
  auto unknown = driver.submit(cordon("gpu01", 1));
  EXPECT_ANY_THROW(static_cast<void>(unknown.wait(scope)));
  EXPECT_FALSE(driver.propose(NodeRegistered{nodeInfo("gpu09"), {}}, "coordinator/co1").ok());
  EXPECT_EQ(driver.state().applied, log.end().index);
}

TEST_F(DriverTest, aLinearizableReadNeedsAProofAndACommittedOneDoesNot) {
  registeredNode("gpu01");
  auto count = [](const State& state) { return state.nodes.size(); };
  EXPECT_EQ(driver.read<size_t>(ReadMode::COMMITTED, count).wait(scope), 1u);
  auto proven = driver.read<size_t>(ReadMode::LINEARIZABLE, count);
  EXPECT_FALSE(proven.poll(scope));
  leadership.prove();
  EXPECT_EQ(proven.wait(scope), 1u);
}

TEST_F(DriverTest, aReadOfWhatIsInFlightWaitsForIt) {
  registerNode("gpu01");
  auto read = driver.read<size_t>(ReadMode::COMMITTED,
                                  [](const State& state) { return state.nodes.size(); });
  EXPECT_FALSE(read.poll(scope));
  leadership.commit();
  EXPECT_EQ(read.wait(scope), 1u);
}

TEST_F(DriverTest, whatIsAskedWhileItPausesIsDecidedWhenItGoesOn) {
  registeredNode("gpu01");
  driver.pause();
  auto answer = driver.submit(cordon("gpu01", 1));
  EXPECT_FALSE(answer.poll(scope));
  EXPECT_EQ(leadership.inFlight(), 0u);
  driver.resume();
  EXPECT_FALSE(answer.poll(scope));
  leadership.commit();
  EXPECT_TRUE(answer.wait(scope).ok());
}

TEST_F(DriverTest, whatIsAskedWhileItPausesIsForTheNextLeaderWhenThisOneEnds) {
  registeredNode("gpu01");
  driver.pause();
  auto answer = driver.submit(cordon("gpu01", 1));
  driver.end(KJ_EXCEPTION(DISCONNECTED, "handed over"));
  auto refused = answer.wait(scope);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.refusal().code, RefusalCode::NOT_LEADER);
}

TEST_F(DriverTest, aPausedDriverProposesNothing) {
  driver.pause();
  EXPECT_FALSE(driver.propose(cordon("gpu01", 1).body, "coordinator/co1").ok());
}

TEST_F(DriverTest, aStoreThatFailsEndsTheLeadershipAndAnswersNobody) {
  registeredNode("gpu01");
  auto fault = driver.fault();
  auto answer = driver.submit(cordon("gpu01", 1));
  host.disk.full = true;
  leadership.commit();
  EXPECT_ANY_THROW(static_cast<void>(answer.wait(scope)));
  KJ_IF_MAYBE (why, kj::runCatchingExceptions([&] { fault.wait(scope); })) {
    EXPECT_NE(std::string(why->getDescription().cStr()).find("E0707"), std::string::npos);
  } else {
    ADD_FAILURE() << "nobody heard of the full disk";
  }
}

TEST_F(DriverTest, writesAnAuditRowForEachRequestAndNoneForItsOwnCommands) {
  registeredNode("gpu01");
  auto answer = driver.submit(cordon("gpu01", 1));
  leadership.commit();
  ASSERT_TRUE(answer.wait(scope).ok());
  std::vector<AuditEntry> rows;
  host.store.loadAudit([&](const AuditEntry& row) { rows.push_back(row); });
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].request.guid, (Guid{77, 1}));
  EXPECT_EQ(rows[0].principal, "admin/anna");
  EXPECT_EQ(rows[0].outcome, "accepted");
  EXPECT_EQ(rows[0].index, driver.state().applied);
}

TEST_F(DriverTest, followersHaveTheLeadersStateAtEachIndex) {
  for (int i = 0; i < 5; i++) {
    registeredNode("gpu0" + std::to_string(i));
    EXPECT_EQ(driver.state().hash(), hashOfFollower());
  }
}

TEST_F(DriverTest, aStateHashRidesInTheLogAndAFollowerThatDiffersStops) {
  for (uint64_t i = 0; i <= STATE_HASH_EVERY; i++) registeredNode("gpu" + std::to_string(i));
  auto carrying = std::find_if(log.batches.begin(), log.batches.end(),
                               [](const auto& read) { return read.batch.stateHash.has_value(); });
  ASSERT_NE(carrying, log.batches.end());
  EXPECT_EQ(hashOfFollower(), driver.state().hash());
  carrying->batch.stateHash->value.low ^= 1;
  EXPECT_ANY_THROW(hashOfFollower());
}

// As if one record of the store had been changed behind the coordinator's back.
void damageOneRecord(MemoryDisk& disk) {
  for (auto& [key, value] : disk.content.records) {
    if (key.find("node") == std::string::npos) continue;
    size_t at = value.find("127.0.0.1");
    if (at == std::string::npos) continue;
    value[at] = '9';
    return;
  }
  FAIL() << "no record of a node to damage";
}

TEST_F(DriverTest, aDifferingFollowerSaysSoDropsItsStateAndMakesItAnew) {
  for (uint64_t i = 0; i < 3; i++) registeredNode("gpu" + std::to_string(i));
  Host another(log);
  for (const auto& read : log.batches) another.follower.take(read);
  size_t taken = log.batches.size();
  damageOneRecord(another.disk);
  Follower restarted(another.store, another.facts, another.logger);
  restarted.open(CLUSTER, log.history);
  for (uint64_t i = 3; i <= STATE_HASH_EVERY; i++) registeredNode("gpu" + std::to_string(i));
  auto readOn = [&] {
    for (size_t i = taken; i < log.batches.size(); i++) restarted.take(log.batches[i]);
  };
  EXPECT_ANY_THROW(readOn());
  ASSERT_TRUE(restarted.damage());
  EXPECT_NE(restarted.damage()->find("at index"), std::string::npos) << *restarted.damage();
  EXPECT_TRUE(another.facts.rebuilding);

  restarted.rebuild();
  EXPECT_FALSE(restarted.damage());
  EXPECT_EQ(restarted.position(), LogPosition{});
  for (const auto& read : log.batches) restarted.take(read);
  EXPECT_EQ(restarted.state().hash(), driver.state().hash());
  EXPECT_EQ(another.facts.rebuilds, 1u);
  EXPECT_TRUE(another.facts.alarms.active().empty());
}

TEST_F(DriverTest, aRecordThatIsNoneIsDamageToo) {
  registeredNode("gpu01");
  Host another(log);
  another.follower.take(log.batches[0]);
  another.disk.content.records.begin()->second = "no record";
  Follower restarted(another.store, another.facts, another.logger);
  EXPECT_ANY_THROW(restarted.open(CLUSTER, log.history));
  ASSERT_TRUE(restarted.damage());
  restarted.rebuild();
  restarted.take(log.batches[0]);
  EXPECT_EQ(restarted.state().hash(), driver.state().hash());
}

// Nobody rebuilds for ever: where a replay of the whole log comes to another state than the log
// says, the leader that said so is wrong.
TEST_F(DriverTest, whatAReplayContradictsIsTheLeadersFault) {
  for (uint64_t i = 0; i <= 2 * STATE_HASH_EVERY; i++) registeredNode("gpu" + std::to_string(i));
  for (auto& read : log.batches) {
    if (read.batch.stateHash) read.batch.stateHash->value.low ^= 1;
  }
  Host another(log);
  auto readAll = [&] {
    for (const auto& read : log.batches) another.follower.take(read);
  };
  EXPECT_ANY_THROW(readAll());
  another.follower.rebuild();
  readAll();
  EXPECT_EQ(another.follower.state().hash(), driver.state().hash());
  EXPECT_TRUE(another.facts.alarms.active().contains(AlarmKind::LEADER_DIVERGED));
}

TEST_F(DriverTest, aFollowerStopsAtACommandThatItDoesNotKnow) {
  registeredNode("gpu01");
  Host another(log);
  auto read = log.batches[0];
  read.batch.commands[0] = "no command at all";
  EXPECT_ANY_THROW(another.follower.take(read));
}

TEST_F(DriverTest, aFollowerGoesOnFromItsStoreAfterARestart) {
  registeredNode("gpu01");
  Host another(log);
  another.follower.take(log.batches[0]);
  registeredNode("gpu02");
  Follower restarted(another.store, another.facts, another.logger);
  restarted.open(CLUSTER, log.history);
  EXPECT_EQ(restarted.position(), log.batches[0].position);
  restarted.take(log.batches[1]);
  EXPECT_EQ(restarted.state().hash(), driver.state().hash());
  EXPECT_EQ(loadState(allRecords(restarted.state())), restarted.state());
}

TEST_F(DriverTest, aFollowerRefusesAStoreOfAnotherHistory) {
  EXPECT_ANY_THROW(host.follower.open(CLUSTER, HistoryId{1, {99, 99}}));
  EXPECT_ANY_THROW(host.follower.open({"other"}, log.history));
}

}  // namespace
}  // namespace muster::coordinator::driver_test
