// The pure rules of failover/ as tables.
#include "failover/append_rules.h"
#include "failover/election_rules.h"
#include "failover/log_reader.h"
#include "failover/op_watchdog.h"
#include "failover/server_list.h"
#include "failover/snapshot_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::failover::rules_test {
namespace {

using ::testing::HasSubstr;

const Guid A{0x11, 0x22};
const Guid B{0x33, 0x44};
const Guid C{0x55, 0x66};

std::string nameOf(const Guid& guid, const std::string& sequence) {
  return "c-" + toText(guid) + "-" + sequence;
}

TEST(ElectionRules, aCandidatesNameIsReadWhole) {
  auto parsed = parseCandidateName(nameOf(A, "0000000012"));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->guid, A);
  EXPECT_EQ(parsed->sequence, 12u);
  for (std::string bad : {"", "c-", "x", "c-123-0000000001"})
    EXPECT_FALSE(parseCandidateName(bad)) << bad;
  EXPECT_FALSE(parseCandidateName("d-" + toText(A) + "-0000000001"));
  EXPECT_FALSE(parseCandidateName("c-" + toText(A) + "-"));
  EXPECT_FALSE(parseCandidateName("c-" + toText(A) + "-12x"));
  EXPECT_FALSE(parseCandidateName("c-" + std::string(32, 'z') + "-0000000001"));
}

TEST(ElectionRules, theLineIsOrderedBySequenceNotByGuid) {
  std::vector<std::string> names = {nameOf(A, "0000000030"), nameOf(B, "0000000002"),
                                    nameOf(C, "0000000100"), "other"};
  auto line = lineOf(names, {});
  ASSERT_EQ(line.size(), 3u);
  EXPECT_EQ(line[0].guid, B);
  EXPECT_EQ(line[1].guid, A);
  EXPECT_EQ(line[2].guid, C);
  EXPECT_EQ(placeOf(line, names[0]), 1u);
  EXPECT_EQ(placeOf(line, "missing"), std::nullopt);
  EXPECT_EQ(lineOf(names, {names[1]}).front().guid, A);
}

TEST(ElectionRules, theNextInLineActsAtOnceAndTheOthersLater) {
  EXPECT_EQ(turnDelay(0), 0_ms);
  EXPECT_EQ(turnDelay(1), 50_ms);
  EXPECT_EQ(turnDelay(2), 100_ms);
}

TEST(ElectionRules, theLeaderIsFoundByItsGuid) {
  auto line = lineOf({nameOf(A, "0000000001"), nameOf(B, "0000000002")}, {});
  EpochView view;
  EXPECT_FALSE(leaderIn(line, view));
  view.leaderGuid = B;
  EXPECT_EQ(leaderIn(line, view)->sequence, 2u);
  view.leaderGuid = C;
  EXPECT_FALSE(leaderIn(line, view));
}

TEST(ElectionRules, onlyGuidAndSessionTogetherMakeUsLeader) {
  EpochView view;
  view.leaderGuid = A;
  view.leaderSession = 7;
  EXPECT_TRUE(isOurs(view, A, 7));
  EXPECT_FALSE(isOurs(view, A, 8));
  EXPECT_FALSE(isOurs(view, B, 7));
  EXPECT_FALSE(isOurs(EpochView{}, Guid{}, 0));
}

TEST(ElectionRules, theNextEpochKeepsTheHistoryAndNamesTheLeader) {
  EpochView before;
  before.history = HistoryId{3, A};
  before.epoch = Epoch{41};
  before.leader = CoordinatorId{"co1"};
  before.version = 12;
  CandidateInfo info;
  info.coordinator = CoordinatorId{"co2"};
  info.rpcAddress = "10.0.0.2:7401";
  info.guid = B;
  EpochView next = nextEpoch(before, info, 99);
  EXPECT_EQ(next.history, before.history);
  EXPECT_EQ(next.epoch, Epoch{42});
  EXPECT_EQ(next.leader.value, "co2");
  EXPECT_EQ(next.leaderSession, 99);
  EXPECT_EQ(takeoverReason(before), "session of co1 ended");
  EXPECT_EQ(takeoverReason(EpochView{}), "first leader");
  EXPECT_EQ(handOverReason(before.leader), "handed over by co1");
  EXPECT_EQ(decodeEpoch(encodeEpoch(next, ClusterName{"x"}), next.version), next);
  EXPECT_EQ(decodeCandidate(encodeCandidate(info)), info);
}

TEST(ElectionRules, aTakeoverSetsTheEpochAtItsVersionAndChecksItsOwnCandidate) {
  Paths paths(ClusterName{"x"});
  EpochView before;
  before.version = 9;
  auto ops = takeoverOps(paths, before, "record", 1, "/own", "");
  ASSERT_EQ(ops.size(), 2u);
  EXPECT_EQ(ops[0].kind, OpKind::SET);
  EXPECT_EQ(ops[0].version, 9);
  EXPECT_EQ(ops[1].kind, OpKind::CHECK);
  EXPECT_EQ(ops[1].path, "/own");
  ops = takeoverOps(paths, before, "record", 1, "/own", "/old");
  ASSERT_EQ(ops.size(), 3u);
  EXPECT_EQ(ops[1].kind, OpKind::REMOVE);
  EXPECT_EQ(ops[1].path, "/old");
}

TEST(ElectionRules, theVersionRisesWithTheEpochAlsoWhereThatLeavesSomeOut) {
  EXPECT_EQ(versionSteps(Epoch{4}, Epoch{5}), 1u);
  EXPECT_EQ(versionSteps(Epoch{4}, Epoch{7}), 3u);
  EXPECT_EQ(versionSteps(Epoch{4}, Epoch{1u << 30}), VERSION_STEPS_MAX);
  EpochView before;
  before.version = 9;
  auto ops = takeoverOps(Paths(ClusterName{"x"}), before, "record", 3, "/own", "");
  ASSERT_EQ(ops.size(), 4u);
  for (int32_t i = 0; i < 3; i++) {
    EXPECT_EQ(ops[static_cast<size_t>(i)].kind, OpKind::SET);
    EXPECT_EQ(ops[static_cast<size_t>(i)].version, 9 + i);
  }
}

MultiResult answer(std::vector<ZkCode> codes) {
  MultiResult result;
  result.code = ZkCode::OK;
  for (ZkCode code : codes) {
    OpResult op;
    op.code = code;
    result.results.push_back(op);
    bool failed = code != ZkCode::OK && code != ZkCode::NOT_REACHED;
    if (failed) result.code = code;
  }
  return result;
}
MultiResult whole(ZkCode code) {
  MultiResult result;
  result.code = code;
  return result;
}

TEST(AppendRules, anAnswersMeaning) {
  constexpr ZkCode OK = ZkCode::OK;
  constexpr ZkCode NOT = ZkCode::NOT_REACHED;
  struct {
    const char* name;
    MultiResult result;
    AppendOutcome outcome;
  } cases[] = {
      {"all done", answer({OK, OK, OK}), AppendOutcome::COMMITTED},
      {"another epoch", answer({ZkCode::BAD_VERSION, NOT, NOT}), AppendOutcome::FENCED},
      {"the epoch is gone", answer({ZkCode::NO_NODE, NOT, NOT}), AppendOutcome::STORE_FAULT},
      {"the batch before is missing", answer({OK, ZkCode::NO_NODE, NOT}),
       AppendOutcome::PREDECESSOR_MISSING},
      {"the log's parent is gone", answer({OK, OK, ZkCode::NO_NODE}), AppendOutcome::STORE_FAULT},
      {"the name is taken", answer({OK, OK, ZkCode::NODE_EXISTS}), AppendOutcome::EXISTS},
      {"no rights", answer({ZkCode::NO_AUTH, NOT, NOT}), AppendOutcome::STORE_FAULT},
      {"connection lost", whole(ZkCode::CONNECTION_LOSS), AppendOutcome::UNKNOWN},
      {"anything odd", whole(ZkCode::OTHER), AppendOutcome::UNKNOWN},
      {"session ended", whole(ZkCode::SESSION_ENDED), AppendOutcome::SESSION_OVER},
      {"a check that held", answer({OK}), AppendOutcome::COMMITTED},
      {"a check of another epoch", answer({ZkCode::BAD_VERSION}), AppendOutcome::FENCED},
  };
  for (auto& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(judgeAppend(c.result), c.outcome);
  }
}

TEST(AppendRules, everyAppendChecksTheEpochAndItsPredecessor) {
  Paths paths(ClusterName{"x"});
  auto ops = appendOps(paths, 5, BatchNumber{17}, "bytes");
  ASSERT_EQ(ops.size(), 3u);
  EXPECT_EQ(ops[0].path, "/muster-x/epoch");
  EXPECT_EQ(ops[0].version, 5);
  EXPECT_EQ(ops[1].path, "/muster-x/log/0000000016");
  EXPECT_EQ(ops[2].path, "/muster-x/log/0000000017");
  EXPECT_EQ(ops[2].data, "bytes");
  EXPECT_EQ(appendOps(paths, 5, BatchNumber{1}, "")[1].path,
            "/muster-x/log");  // nothing comes before the first
}

Batch batchAfter(const LogPosition& position) {
  Batch batch{};
  batch.history = HistoryId{1, A};
  batch.epoch = position.epoch;
  batch.number = position.batch.next();
  batch.firstIndex = position.index.next();
  batch.previousChain = position.chain;
  batch.commands = {"x", "y"};
  return batch;
}

TEST(LogRules, aBatchThatDoesNotFollowIsAFault) {
  LogPosition position{BatchNumber{4}, LogIndex{9}, B, Epoch{3}, Instant{}};
  const HistoryId history{1, A};
  EXPECT_FALSE(judgeBatch(position, history, batchAfter(position)));
  struct {
    const char* name;
    std::function<void(Batch&)> spoil;
    LogFault fault;
  } cases[] = {
      {"another history", [](Batch& b) { b.history.guid = C; }, LogFault::HISTORY_DIFFERS},
      {"another number", [](Batch& b) { b.number = BatchNumber{6}; }, LogFault::CORRUPT},
      {"another past", [](Batch& b) { b.previousChain = C; }, LogFault::CHAIN_BROKEN},
      {"an older epoch", [](Batch& b) { b.epoch = Epoch{2}; }, LogFault::EPOCH_WENT_DOWN},
      {"a gap in the index", [](Batch& b) { b.firstIndex = LogIndex{11}; }, LogFault::CORRUPT},
  };
  for (auto& c : cases) {
    SCOPED_TRACE(c.name);
    Batch batch = batchAfter(position);
    c.spoil(batch);
    auto found = judgeBatch(position, history, batch);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->fault, c.fault);
    EXPECT_THAT(found->text, HasSubstr("batch 5"));
  }
}

TEST(OpWatchdog, anOpIsStuckAfter30MsOrFiveMedians) {
  RunningMedian median;
  EXPECT_EQ(watchdogAge(median.value()), 30_ms);
  for (int i = 0; i < 10; i++) median.add(2_ms);
  EXPECT_EQ(median.value(), 2_ms);
  EXPECT_EQ(watchdogAge(median.value()), 30_ms);
  for (int i = 0; i < 20; i++) median.add(20_ms);
  EXPECT_EQ(watchdogAge(median.value()), 100_ms);
  for (int i = 0; i < 63; i++) median.add(1_ms);  // what is old is forgotten
  EXPECT_EQ(median.value(), 1_ms);
}

TEST(ServerList, onlyIpAddressesWithPorts) {
  EXPECT_EQ(parseServerList("10.0.0.1:2181,[::1]:2182")->size(), 2u);
  for (const char* bad :
       {"", "localhost:2181", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:70000",
        "10.0.0.1:2181,10.0.0.1:2181", "10.0.0.1:2181,", "::1:2181x"}) {
    bool trailingComma = std::string(bad) == "10.0.0.1:2181,";
    EXPECT_EQ(parseServerList(bad).ok(), trailingComma) << bad;
  }
}

TEST(ServerList, theEnsemblesOwnListMustBeOurs) {
  const std::string config =
      "server.1=10.0.0.1:2888:3888:participant;10.0.0.1:2181\nserver.2=10.0.0.2:2888:3888:"
      "participant;0.0.0.0:2181\n"
      "server.3=10.0.0.3:2888:3888:participant\nversion=0";
  EXPECT_TRUE(compareServerList(config, {"10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.3:2181"}).ok());
  struct {
    const char* name;
    std::vector<std::string> servers;
    const char* text;
  } cases[] = {
      {"too few", {"10.0.0.1:2181"}, "has 3 servers"},
      {"another host", {"10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.9:2181"}, "10.0.0.3"},
      {"another port", {"10.0.0.1:9999", "10.0.0.2:2181", "10.0.0.3:2181"}, "10.0.0.1:2181"},
      {"another port than any address",
       {"10.0.0.1:2181", "10.0.0.2:9999", "10.0.0.3:2181"},
       "10.0.0.2:2181"},
  };
  for (auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto compared = compareServerList(config, c.servers);
    ASSERT_FALSE(compared.ok());
    EXPECT_THAT(compared.refusal().text, HasSubstr(c.text));
  }
  EXPECT_TRUE(compareServerList("", {"127.0.0.1:2181"}).ok());  // a server of its own
  EXPECT_FALSE(compareServerList("", {"127.0.0.1:2181", "127.0.0.1:2182"}).ok());
}

TEST(SnapshotRate, growsOnceASnapshotIsOverdue) {
  struct Case {
    const char* name;
    uint64_t timesDue, mebibytes;
  };
  const Case cases[] = {
      {"begun at once after a restart", 0, 8},
      {"just due", 1, 8},
      {"a large state, tried once in vain", 3, 8},
      {"tried several times in vain", 4, 16},
      {"for long", 10, 40},
      {"for very long", 16, 64},
      {"not without bound", 100'000, 64},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(snapshotRate(8_MiB, c.timesDue), Bytes{c.mebibytes << 20});
  }
}

}  // namespace
}  // namespace muster::failover::rules_test
