// The ranks of a node with real processes, in a folder of their own.
#pragma once

#include "base/event_loop.h"
#include "base/kj_time.h"
#include "tests/worker/sample_model.h"
#include "worker/model_inspector.h"
#include "worker/rank_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

// Inspects on the spot: a test has no loop to hold up.
class DirectInspection final : public ModelInspection {
 public:
  explicit DirectInspection(std::string root) : roots_({std::move(root)}) {}
  kj::Promise<Result<ModelManifest>> inspect(std::string source) override {
    return inspectModel(roots_, source, {"w1"});
  }

 private:
  ModelRoots roots_;
};

class RankSetTest : public testing::Test {
 protected:
  RankSetTest() : inspection_(model_.root.string()), processes_(makeProcessRunner(loop_)) {
    data_ = (model_.root / "data").string();
    environment_.modelRoots = {model_.root.string()};
    ranks_ = makeRanks(environment_, data_);
  }
  ~RankSetTest() noexcept override {
    ranks_->obey({});
    waitFor("all ranks are gone", [&] { return ranks_->reports().empty(); });
  }

  // Waits for a condition; every change and each 20 ms is a reason to look.
  void waitFor(const std::string& what, const std::function<bool()>& condition) {
    auto deadline = clock_.steadyNow() + 40_s;
    while (!condition()) {
      ASSERT_LT(clock_.steadyNow(), deadline) << "never happened: " << what << "\n" << describe();
      ranks_->changed()
          .exclusiveJoin(loop_.timer().afterDelay(20 * kj::MILLISECONDS))
          .wait(loop_.waitScope());
    }
  }
  std::string describe() {
    std::string text;
    for (const auto& report : ranks_->reports()) {
      text += folderName(report.ref) + " " + std::string(toText(report.phase)) + " " +
              report.message + " " + report.firstError + "\n";
    }
    return text;
  }
  void waitForPhase(ReplicaPhase phase) {
    waitFor("every rank is " + std::string(toText(phase)), [&] {
      auto reports = ranks_->reports();
      return !reports.empty() && std::all_of(reports.begin(), reports.end(),
                                             [&](const auto& one) { return one.phase == phase; });
    });
  }
  // Of its newest generation: an older process may still be ending.
  RankReport report(uint32_t rank = 0) {
    std::optional<RankReport> newest;
    for (const auto& report : ranks_->reports()) {
      bool older = newest && report.ref.generation < newest->ref.generation;
      if (report.ref.rank.value == rank && !older) newest = report;
    }
    EXPECT_TRUE(newest) << "no rank " << rank;
    return newest.value_or(RankReport());
  }

  std::vector<Assignment> nativeGang(uint64_t generation = 1) {
    auto manifest = inspectModel(ModelRoots({model_.root.string()}), model_.source(), {"w1"});
    EXPECT_TRUE(manifest.ok()) << manifest.refusal().text;
    std::vector<Assignment> gang;
    for (uint32_t rank = 0; rank < 4; ++rank) {
      Assignment one{
          .ref = {{7}, {0}, {generation}, {rank}}, .tenant = {"default"}, .deployment = {"sample"}};
      one.worldSize = 4;
      one.devices = {{rank}};
      one.modelSource = model_.source();
      one.manifestDigest = manifest->digest;
      one.plan = {.tensor = 2, .pipeline = 2, .stageFirstLayer = {0, 2}};
      one.secret.fill(9);
      one.timeouts.drain = 2_s;
      gang.push_back(one);
    }
    return gang;
  }
  // What a leader does: tells everybody where rank 0 listens.
  void startNative(std::vector<Assignment> gang) {
    ranks_->obey(gang);
    waitFor("rank 0 tells the rendezvous", [&] { return !report(0).rendezvous.empty(); });
    for (auto& one : gang) one.rendezvous = report(0).rendezvous;
    ranks_->obey(gang);
    waitForPhase(ReplicaPhase::READY);
  }
  Assignment script(const std::string& text) {
    Assignment one{.ref = {{8}, {0}, {1}, {0}}, .tenant = {"default"}, .deployment = {"script"}};
    one.engine.kind = EngineKind::PROCESS;
    one.engine.command = {"/bin/sh", "-c", text};
    one.devices = {{0}, {3}};
    one.timeouts.drain = 1_s;
    return one;
  }
  std::string output(RankRef ref) {
    auto log = ranks_->readLog(ref, 100).wait(loop_.waitScope());
    std::string text;
    for (const auto& line : log.lines) text += line + "\n";
    return text;
  }

  SampleModel model_;
  EventLoop loop_;
  SystemClock clock_;
  SystemRandom random_;
  DirectInspection inspection_;
  kj::Own<ProcessRunner> processes_;
  RankEnvironment environment_{.timer = loop_.timer(),
                               .clock = clock_,
                               .random = random_,
                               .network = loop_.network(),
                               .processes = *processes_,
                               .inspection = inspection_,
                               .log = Logger({.level = LogLevel::ERROR}),
                               .rankBinary = std::string(MUSTER_BINARY_DIR) + "/muster-rank",
                               .modelRoots = {},
                               .address = "127.0.0.1"};
  std::string data_;
  kj::Own<Ranks> ranks_;
};

}  // namespace muster::worker
