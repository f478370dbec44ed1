// The ranks of this node as the agent sees them: told what shall run, says what does. The
// simulation has its twin.
#pragma once

#include "base/result.h"
#include "protocol/order.h"

#include <kj/async.h>

#include <cstdint>
#include <string>
#include <vector>

namespace muster::worker {

struct RankLog {
  bool found = false;
  std::vector<std::string> lines;  // the last ones, oldest first
  std::string firstError;
};

class Ranks {
 public:
  virtual ~Ranks() noexcept(false) = default;

  // The whole desired set. Ranks that are in it and do not exist are started; ranks that exist and
  // are not in it are stopped, and are gone from reports() once their process has ended. A repeat
  // does nothing.
  virtual void obey(std::vector<Assignment> assignments) = 0;

  // Comes back to what an earlier agent ran, by the order it had stored. Call once, before obey().
  // Ranks are never started here: one of the order whose process is gone has FAILED, since the
  // others of its generation met without the process that would follow.
  virtual void restore(std::vector<Assignment> assignments) = 0;

  // Everything that runs, or has ended and is still wanted; by ref.
  virtual std::vector<RankReport> reports() const = 0;

  // Resolves at the next change that a leader should hear at once: a phase, a rendezvous, a rank
  // that is gone.
  virtual kj::Promise<void> changed() = 0;

  // The last lines of a rank's output, at most `linesMax`.
  virtual kj::Promise<RankLog> readLog(RankRef ref, uint32_t linesMax) = 0;
};

// Inspects models on this node without holding up the loop.
class ModelInspection {
 public:
  virtual ~ModelInspection() noexcept(false) = default;
  virtual kj::Promise<Result<ModelManifest>> inspect(std::string source) = 0;
};

// Knows which nodes may have the files of a model.
class WeightDirectory {
 public:
  virtual ~WeightDirectory() noexcept(false) = default;
  // For a rank of this node. Refuses what the leader refuses, NO_LEADER when none answers in time.
  virtual kj::Promise<Result<WeightSources>> find(RankRef rank) = 0;
};

}  // namespace muster::worker
