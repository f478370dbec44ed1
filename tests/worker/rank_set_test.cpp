// Real processes: muster-rank for the native engine, shell scripts for the process engine.
#include "worker/rank_set.h"

#include "sharding/model_spec.h"
#include "sharding/shard_map.h"
#include "tests/worker/rank_set_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <signal.h>
#include <sys/stat.h>

namespace muster::worker::rank_set_test {
namespace {

using testing::HasSubstr;

TEST_F(RankSetTest, aNativeGangLoadsMeetsAndIsReady) {
  startNative(nativeGang());
  uint64_t bytes = 0;
  for (uint32_t rank = 0; rank < 4; ++rank) {
    auto one = report(rank);
    uint64_t sum = 0;
    for (const auto& slice : one.slices) {
      sum += slice.bytes;
      EXPECT_EQ(slice.checksum.size(), 16u);
    }
    EXPECT_EQ(one.loaded.count, sum);
    EXPECT_EQ(one.loaded, one.total);
    EXPECT_GT(one.pid, 0u);
    bytes += sum;
  }
  EXPECT_GE(bytes, std::filesystem::file_size(model_.weights(1)));
  EXPECT_EQ(report(0).joined.size(), 4u);
}

// What a leader does after a loss: the same gang in the next generation.
TEST_F(RankSetTest, whenARankIsKilledTheOthersGoOnInTheNextGeneration) {
  startNative(nativeGang(1));
  std::map<uint32_t, RankReport> before;
  for (uint32_t rank = 0; rank < 4; ++rank) before[rank] = report(rank);
  ::kill(static_cast<pid_t>(before[3].pid), SIGKILL);
  waitFor("rank 3 has failed", [&] { return report(3).phase == ReplicaPhase::FAILED; });
  waitFor("the others have heard", [&] {
    return report(0).phase == ReplicaPhase::JOINING && report(1).phase == ReplicaPhase::JOINING &&
           report(2).phase == ReplicaPhase::JOINING;
  });
  EXPECT_THAT(report(1).message, HasSubstr("rank 3 left the group"));
  startNative(nativeGang(2));
  for (uint32_t rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(report(rank).pid, before[rank].pid) << rank;
    EXPECT_EQ(report(rank).slices, before[rank].slices) << rank;
  }
  EXPECT_NE(report(3).pid, before[3].pid);
  EXPECT_EQ(report(3).slices, before[3].slices);
  EXPECT_EQ(ranks_->reports().size(), 4u);
}

TEST_F(RankSetTest, whenTheFirstRankIsKilledTheOthersMeetAtItsSuccessor) {
  startNative(nativeGang(1));
  auto first = report(0);
  auto second = report(1);
  ::kill(static_cast<pid_t>(first.pid), SIGKILL);
  waitFor("rank 0 has failed", [&] { return report(0).phase == ReplicaPhase::FAILED; });
  ranks_->obey(nativeGang(2));
  waitFor("its successor listens", [&] {
    auto now = report(0);
    return now.ref.generation.value == 2 && !now.rendezvous.empty() && now.pid != first.pid;
  });
  startNative(nativeGang(2));
  EXPECT_EQ(report(1).pid, second.pid);
}

TEST_F(RankSetTest, aProcessForOtherWorkIsNotKept) {
  startNative(nativeGang(1));
  auto before = report(1);
  auto gang = nativeGang(2);
  for (auto& one : gang) one.plan.stageFirstLayer = {0, 1};
  startNative(gang);
  EXPECT_NE(report(1).pid, before.pid);
  EXPECT_EQ(ranks_->reports().size(), 4u);
}

TEST_F(RankSetTest, aNewAgentLetsAdoptedProcessesGoOn) {
  startNative(nativeGang(1));
  auto before = report(2);
  ranks_ = nullptr;  // it died after it had stored the order of generation 2
  ranks_ = makeRanks(environment_, data_);
  ranks_->restore(nativeGang(2));
  startNative(nativeGang(2));
  EXPECT_EQ(report(2).pid, before.pid);
}

TEST_F(RankSetTest, aNewAgentAdoptsTheSameProcesses) {
  auto gang = nativeGang();
  startNative(gang);
  std::map<uint32_t, uint32_t> pids;
  for (uint32_t rank = 0; rank < 4; ++rank) pids[rank] = report(rank).pid;
  ranks_ = nullptr;
  ranks_ = makeRanks(environment_, data_);
  ranks_->restore(gang);
  waitForPhase(ReplicaPhase::READY);
  for (uint32_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(report(rank).pid, pids[rank]);
    EXPECT_FALSE(report(rank).slices.empty());
  }
}

TEST_F(RankSetTest, aNewAgentStartsNothingAgain) {
  auto gang = nativeGang();
  startNative(gang);
  auto pid = static_cast<pid_t>(report(3).pid);
  ranks_ = nullptr;
  auto three = processes_->adopt({pid, readProcessStat(pid)->startTicks});
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  KJ_ASSERT_NONNULL(three)->onExit().wait(loop_.waitScope());
  ranks_ = makeRanks(environment_, data_);
  auto unknown = gang[0];
  unknown.ref.deployment = {9};
  auto wanted = gang;
  wanted.push_back(unknown);
  ranks_->restore(wanted);
  EXPECT_EQ(report(3).phase, ReplicaPhase::FAILED);
  EXPECT_EQ(ranks_->reports().back().ref, unknown.ref);
  EXPECT_EQ(ranks_->reports().back().phase, ReplicaPhase::FAILED);
  EXPECT_EQ(ranks_->reports().back().pid, 0u);
}

TEST_F(RankSetTest, aKilledRankFailsAndItsGroupNotices) {
  auto gang = nativeGang();
  startNative(gang);
  ASSERT_EQ(::kill(static_cast<pid_t>(report(2).pid), SIGKILL), 0);
  waitFor("rank 2 failed", [&] { return report(2).phase == ReplicaPhase::FAILED; });
  EXPECT_EQ(report(2).reason, Reason::RANK_CRASHED);
  EXPECT_THAT(report(2).message, HasSubstr("signal 9"));
  waitFor("rank 0 says who left", [&] { return report(0).message.find("rank 2 left") == 0; });
}

TEST_F(RankSetTest, ranksNoLongerWantedEndAndLeaveNoFolder) {
  startNative(nativeGang());
  auto pid = static_cast<pid_t>(report(1).pid);
  ranks_->obey({});
  waitFor("all ranks are gone", [&] { return ranks_->reports().empty(); });
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_TRUE(std::filesystem::is_empty(data_ + "/ranks"));
}

TEST_F(RankSetTest, ofAnOlderGenerationNothingIsLeftWhenTheNextIsOrdered) {
  startNative(nativeGang(1));
  auto process = report(0).pid;
  ranks_->obey(nativeGang(2));
  auto reports = ranks_->reports();
  ASSERT_EQ(reports.size(), 4u);
  for (const auto& one : reports) EXPECT_EQ(one.ref.generation.value, 2u);
  EXPECT_EQ(report(0).pid, process);
}

TEST_F(RankSetTest, aModelThatIsNotTheOnePlannedIsNotLoaded) {
  auto gang = nativeGang();
  gang[0].manifestDigest = "0000";
  ranks_->obey({gang[0]});
  waitForPhase(ReplicaPhase::FAILED);
  EXPECT_EQ(report(0).reason, Reason::FETCH_FAILED);
  EXPECT_THAT(report(0).message, HasSubstr("differs from the model that was planned"));
  EXPECT_EQ(report(0).pid, 0u);
}

TEST_F(RankSetTest, secretsAndSocketsAreClosedToOthers) {
  startNative(nativeGang());
  struct stat status {};
  ASSERT_EQ(::stat((data_ + "/ranks/7-0-1-0").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat((data_ + "/ranks/7-0-1-0/assignment").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(RankSetTest, aProgramFindsItsPlaceInItsEnvironment) {
  auto one = script("env; exec sleep 1000");
  one.engine.env = {{"OWN", "x"}};
  one.worldSize = 2;
  ranks_->obey({one});
  waitForPhase(ReplicaPhase::READY);
  waitFor("it printed", [&] { return output(one.ref).find("WORLD_SIZE") != std::string::npos; });
  std::string text = output(one.ref);
  for (const char* line : {"RANK=0", "WORLD_SIZE=2", "MUSTER_DEVICES=0,3", "MASTER_ADDR=127.0.0.1",
                           "MUSTER_DEPLOYMENT=script", "OWN=x"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, testing::Not(HasSubstr("SECRET")));
  EXPECT_FALSE(report().rendezvous.empty());
}

TEST_F(RankSetTest, aProgramIsReadyOnceItPrintsTheLine) {
  std::string gate = (model_.root / "gate").string();
  ASSERT_EQ(::mkfifo(gate.c_str(), 0600), 0);
  auto one = script("read line < " + gate + "; echo serving now; exec sleep 1000");
  one.engine.ready.logLine = "serving now";
  ranks_->obey({one});
  waitFor("it runs", [&] { return report().pid != 0; });
  EXPECT_NE(report().phase, ReplicaPhase::READY);
  SampleModel::write(gate, "go\n");
  waitForPhase(ReplicaPhase::READY);
}

TEST_F(RankSetTest, theFirstErrorOfAProgramIsKept) {
  auto one = script("echo starting; echo 'RuntimeError: CUDA out of memory'; echo later; exit 3");
  ranks_->obey({one});
  waitForPhase(ReplicaPhase::FAILED);
  EXPECT_EQ(report().reason, Reason::ENGINE_EXITED);
  EXPECT_THAT(report().message, HasSubstr("exit code 3"));
  EXPECT_THAT(report().firstError, HasSubstr("CUDA out of memory"));
}

TEST_F(RankSetTest, aProgramThatGetsNowhereIsStalled) {
  auto one = script("echo loading; exec sleep 1000");
  one.engine.ready.logLine = "never printed";
  one.timeouts.stall = 400_ms;
  ranks_->obey({one});
  waitForPhase(ReplicaPhase::FAILED);
  EXPECT_EQ(report().reason, Reason::RANK_STALLED);
}

TEST_F(RankSetTest, aProgramThatDoesNotExistIsNamed) {
  auto one = script("");
  one.engine.command = {"/no/such/program"};
  ranks_->obey({one});
  waitForPhase(ReplicaPhase::FAILED);
  EXPECT_THAT(
      report().message,
      HasSubstr("cannot start: \"/no/such/program\" is no program that the worker may run"));
  EXPECT_THAT(report().firstError, HasSubstr("help: install it on the worker, or name another"));
}

TEST_F(RankSetTest, aProgramThatIsNotInPathIsNamedWithThePathAndWhatToDo) {
  auto one = script("");
  one.engine.kind = EngineKind::VLLM;
  one.engine.command = {};
  one.engine.env = {{"PATH", "/nowhere:" + model_.root.string()}};
  SampleModel::write((model_.root / "vllm").string(), "there, but no program");
  ranks_->obey({one});
  waitForPhase(ReplicaPhase::FAILED);
  EXPECT_EQ(report().message,
            "cannot start: \"vllm\" is not in PATH of the worker (PATH=/nowhere:" +
                model_.root.string() + ")");
  EXPECT_EQ(report().firstError,
            report().message +
                "\nhelp: install it on the worker, or say where it is: engine: {kind: vllm, env: "
                "{PATH: \"/FOLDER/OF/IT:/usr/bin:/bin\"}}");
  EXPECT_EQ(report().pid, 0u);
}

TEST_F(RankSetTest, aProgramThatIgnoresSigtermIsKilled) {
  auto one = script("trap '' TERM; echo up; while :; do sleep 1000; done");
  one.engine.ready.logLine = "up";
  ranks_->obey({one});
  waitForPhase(ReplicaPhase::READY);
  auto pid = static_cast<pid_t>(report().pid);
  ranks_->obey({});
  waitFor("it is gone", [&] { return ranks_->reports().empty(); });
  EXPECT_EQ(::kill(pid, 0), -1);
}

}  // namespace
}  // namespace muster::worker::rank_set_test
