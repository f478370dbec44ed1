// Ranks without processes: remembers what it was told, says what the test wants it to say.
#pragma once

#include "worker/ranks.h"
#include "worker/signal.h"

#include <string>
#include <vector>

namespace muster::worker {

class FakeRanks final : public Ranks {
 public:
  void obey(std::vector<Assignment> assignments) override {
    obeyed.push_back(std::move(assignments));
  }
  void restore(std::vector<Assignment> assignments) override { obey(std::move(assignments)); }
  std::vector<RankReport> reports() const override { return said; }
  kj::Promise<void> changed() override { return changed_.next(); }
  kj::Promise<RankLog> readLog(RankRef ref, uint32_t linesMax) override {
    RankLog log{ref == logged, {}, "first"};
    for (uint32_t i = 0; log.found && i < linesMax; i++) {
      log.lines.push_back("line " + std::to_string(i));
    }
    return log;
  }

  // From now on these are the reports, and a leader should hear it.
  void say(std::vector<RankReport> reports) {
    said = std::move(reports);
    changed_.fire();
  }

  std::vector<std::vector<Assignment>> obeyed;  // each call, oldest first
  std::vector<RankReport> said;
  RankRef logged;  // the only rank that has a log

 private:
  Signal changed_;
};

// Refuses every model but one.
class FakeInspection final : public ModelInspection {
 public:
  kj::Promise<Result<ModelManifest>> inspect(std::string source) override {
    if (source == manifest.source) return Result<ModelManifest>(manifest);
    return Result<ModelManifest>(Refusal{RefusalCode::MODEL_NOT_FOUND, "no model " + source});
  }

  ModelManifest manifest;
};

}  // namespace muster::worker
