// Facts about the coordination service that our protocol rests on, asked of the simulated one and
// of real servers: what the simulation proves is worth no more than these.
#include "tests/sim/semantics_bench.h"

#include <gtest/gtest.h>

namespace muster::sim::coordination_semantics_test {
namespace {

using failover::ANY_VERSION;
using failover::checkOp;
using failover::CoordinationSession;
using failover::CreateMode;
using failover::createOp;
using failover::GetResult;
using failover::MultiResult;
using failover::Op;
using failover::removeOp;
using failover::SessionState;
using failover::setOp;
using failover::ZkCode;

struct Kind {
  const char* name;
  kj::Own<SemanticsBench> (*make)();
};

class CoordinationSemantics : public testing::TestWithParam<Kind> {
 protected:
  CoordinationSemantics() : bench(GetParam().make()), first(bench->open()) {}
  ~CoordinationSemantics() noexcept override {}

  ZkCode create(SessionNumber session, std::string path, std::string data = "",
                CreateMode mode = CreateMode::PERSISTENT) {
    return bench->multi(session, {createOp(std::move(path), std::move(data), mode)}).code;
  }
  // What another session has written is there once this one has waited for it.
  bool sees(SessionNumber session, const std::string& path, const std::string& data) {
    for (int i = 0; i < 1000; i++) {
      GetResult got = bench->get(session, path);
      if (got.code == ZkCode::OK && got.data == data) return true;
    }
    return false;
  }

  kj::Own<SemanticsBench> bench;
  SessionNumber first;
};

TEST_P(CoordinationSemantics, aMultiIsAllOrNothingAndNamesTheOpThatFailed) {
  create(first, "/a", "1");
  auto refused =
      bench->multi(first, {checkOp("/a", 0), createOp("/b", ""), checkOp("/a", 7), removeOp("/a")});
  EXPECT_EQ(refused.code, ZkCode::BAD_VERSION);
  ASSERT_EQ(refused.results.size(), 4u);
  EXPECT_EQ(refused.results[0].code, ZkCode::OK);
  EXPECT_EQ(refused.results[2].code, ZkCode::BAD_VERSION);
  EXPECT_EQ(refused.results[3].code, ZkCode::NOT_REACHED);
  EXPECT_EQ(bench->get(first, "/b").code, ZkCode::NO_NODE);
  EXPECT_EQ(bench->get(first, "/a").data, "1");
}

TEST_P(CoordinationSemantics, laterOpsOfAMultiSeeTheEarlierOnes) {
  auto done = bench->multi(first, {createOp("/a", ""), createOp("/a/b", "x"), checkOp("/a/b", 0),
                                   setOp("/a/b", "y", 0), checkOp("/a/b", 1)});
  EXPECT_EQ(done.code, ZkCode::OK);
  EXPECT_EQ(bench->get(first, "/a/b").data, "y");
  EXPECT_EQ(bench->get(first, "/a/b").stat.version, 1);
}

TEST_P(CoordinationSemantics, refusalsHaveTheirCodes) {
  create(first, "/a");
  create(first, "/a/b");
  struct Case {
    const char* name;
    Op op;
    ZkCode code;
  };
  for (const Case& c : {Case{"taken", createOp("/a", ""), ZkCode::NODE_EXISTS},
                        Case{"no parent", createOp("/x/y", ""), ZkCode::NO_NODE},
                        Case{"not there", removeOp("/x"), ZkCode::NO_NODE},
                        Case{"not empty", removeOp("/a"), ZkCode::NOT_EMPTY},
                        Case{"old version", setOp("/a", "", 3), ZkCode::BAD_VERSION},
                        Case{"nothing to check", checkOp("/x"), ZkCode::NO_NODE},
                        Case{"wrong version to check", checkOp("/a", 1), ZkCode::BAD_VERSION}}) {
    SCOPED_TRACE(c.name);
    auto result = bench->multi(first, {c.op});
    EXPECT_EQ(result.code, c.code);
    ASSERT_EQ(result.results.size(), 1u);
    EXPECT_EQ(result.results[0].code, c.code);
  }
}

TEST_P(CoordinationSemantics, whatIsSentTogetherIsAnsweredInOrderAndReadsSeeOwnWrites) {
  auto answers = std::make_shared<std::vector<std::string>>();
  bench->in(first, [&, answers](CoordinationSession& session) {
    auto note = [answers](std::string text) { answers->push_back(std::move(text)); };
    auto write = [&](Op op) {
      std::vector<Op> ops(1, std::move(op));
      bench->keep(first, session.multi(std::move(ops)).then([note](MultiResult result) {
        note(result.code == ZkCode::OK ? "written" : "refused");
      }));
    };
    auto read = [&] {
      bench->keep(first, session.get("/p").then([note](GetResult got) {
        note(got.code == ZkCode::OK ? got.data : "absent");
      }));
    };
    read();
    write(createOp("/p", "1"));
    read();
    write(setOp("/p", "2", 0));
    write(setOp("/p", "3", 0));
    write(setOp("/p", "4", 1));
    read();
  });
  ASSERT_TRUE(bench->until([answers] { return answers->size() == 7; }));
  EXPECT_EQ(*answers, (std::vector<std::string>{"absent", "written", "1", "written", "refused",
                                                "written", "4"}));
}

TEST_P(CoordinationSemantics, namesOfSequentialNodesOnlyGrow) {
  create(first, "/line");
  std::string last;
  for (int i = 0; i < 12; i++) {
    auto made = bench->multi(first, {createOp("/line/c-", "", CreateMode::EPHEMERAL_SEQUENTIAL)});
    ASSERT_EQ(made.code, ZkCode::OK);
    std::string path = made.results[0].path;
    EXPECT_EQ(path.size(), std::string("/line/c-").size() + 10);
    EXPECT_GT(path, last);
    last = path;
    if (i % 2 == 0) bench->multi(first, {removeOp(path)});
  }
  EXPECT_EQ(bench->list(first, "/line").children.size(), 6u);
}

TEST_P(CoordinationSemantics, aWatchFiresOnceForCreationChangeAndRemoval) {
  SessionNumber second = bench->open();
  auto absent = bench->watch(second, "/w");
  EXPECT_EQ(absent->code, ZkCode::NO_NODE);
  create(first, "/w", "1");
  EXPECT_TRUE(bench->until([&] { return absent->fired; }));
  EXPECT_TRUE(sees(second, "/w", "1"));
  auto present = bench->watch(second, "/w");
  EXPECT_EQ(present->code, ZkCode::OK);
  EXPECT_FALSE(present->fired);
  bench->multi(first, {setOp("/w", "2", ANY_VERSION)});
  EXPECT_TRUE(bench->until([&] { return present->fired; }));
  EXPECT_TRUE(sees(second, "/w", "2"));
  auto last = bench->watch(second, "/w");
  bench->multi(first, {removeOp("/w")});
  EXPECT_TRUE(bench->until([&] { return last->fired; }));
}

TEST_P(CoordinationSemantics, aWatchDoesNotFireForChildrenOrChecks) {
  create(first, "/w");
  auto watch = bench->watch(first, "/w");
  create(first, "/w/child");
  bench->multi(first, {checkOp("/w", 0)});
  bench->multi(first, {removeOp("/w/child")});
  EXPECT_EQ(bench->get(first, "/w").stat.version, 0);
  EXPECT_FALSE(watch->fired);
}

TEST_P(CoordinationSemantics, ephemeralsGoWithTheirSessionAndWatchersHear) {
  SessionNumber second = bench->open();
  create(second, "/e", "mine", CreateMode::EPHEMERAL);
  EXPECT_TRUE(sees(first, "/e", "mine"));
  EXPECT_NE(bench->get(first, "/e").stat.ephemeralOwner, 0);
  auto watch = bench->watch(first, "/e");
  bench->in(second, [](CoordinationSession& session) { session.close(); });
  EXPECT_TRUE(bench->until([&] { return watch->fired; }));
  EXPECT_EQ(bench->get(first, "/e").code, ZkCode::NO_NODE);
  auto ended = std::make_shared<bool>(false);
  EXPECT_TRUE(bench->until([&] {
    bench->in(second, [ended](CoordinationSession& session) {
      *ended = session.state() == SessionState::ENDED;
    });
    return *ended;
  }));
  EXPECT_EQ(bench->get(second, "/e").code, ZkCode::SESSION_ENDED);
  EXPECT_EQ(create(second, "/f"), ZkCode::SESSION_ENDED);
}

INSTANTIATE_TEST_SUITE_P(Simulated, CoordinationSemantics,
                         testing::Values(Kind{"simulated", makeSimulatedBench}),
                         [](const auto& info) { return std::string(info.param.name); });
INSTANTIATE_TEST_SUITE_P(Real, CoordinationSemantics, testing::Values(Kind{"real", makeRealBench}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace muster::sim::coordination_semantics_test
