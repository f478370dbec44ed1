// One rank of this node from its assignment to its end, whatever its engine: the process, its
// report, its stop.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/random.h"
#include "base/tasks.h"
#include "base/tls_transport.h"
#include "protocol/node.h"
#include "protocol/order.h"
#include "worker/output_tail.h"
#include "worker/rank_folder.h"
#include "worker/ranks.h"

#include <kj/async-io.h>
#include <kj/function.h>
#include <kj/timer.h>

#include <string>
#include <vector>

namespace muster::worker {

// What every rank of a node needs; all of it outlives the ranks.
struct RankEnvironment {
  kj::Timer& timer;
  const Clock& clock;
  Random& random;
  kj::Network& network;
  ProcessRunner& processes;
  ModelInspection& inspection;
  Logger log;
  std::string rankBinary;  // muster-rank
  std::vector<std::string> modelRoots;
  std::string address;  // IP address of this node, for groups
  TlsFiles tls = {};    // with which ranks answer requests; none: native ones answer nobody
  std::vector<DeviceInfo> devices = {};  // of this node
  ClusterName cluster = {};
  WeightDirectory* directory = nullptr;  // null: no other node's files are read
  std::string cacheFolder = {};          // of slices that came from other nodes; empty: none
  Bytes cacheMax = {};
};

// Base of the engines' units. A unit is made for a new assignment, or for the process of an earlier
// agent.
class RankUnit {
 public:
  RankUnit(RankEnvironment& environment, RankFolder folder, Assignment assignment,
           kj::Function<void()> onChange);
  virtual ~RankUnit() noexcept(false) = default;

  // Starts a process, or goes on with the one that the folder names. Call once.
  void begin();

  const RankReport& report() const { return report_; }
  const RankFolder& folder() const { return folder_; }
  const Assignment& assignment() const { return assignment_; }

  // Whether the process can go on as a rank of a higher generation.
  bool canAdvance(const Assignment& next) const {
    return !over() && report_.pid != 0 && isSameProcess(next);
  }
  // Goes on so; only after canAdvance(). `folder`: the same one, under the rank's new name.
  void advance(RankFolder folder, const Assignment& next);

  // Where the group meets, once it is known.
  virtual void meet(const std::string& rendezvous) = 0;
  // Ends the process: asks, then SIGTERM, and SIGKILL after the drain time. Resolves when it is
  // gone.
  kj::Promise<void> stop();

 protected:
  // What the engine does from here on. `adopted`: the process runs already.
  virtual kj::Promise<void> run(bool adopted) = 0;
  // Asks the engine to leave by itself; SIGTERM follows whatever it says.
  virtual kj::Promise<void> askToLeave() { return kj::READY_NOW; }
  virtual RefusalCode exitCode() const = 0;  // what an end without a stop is called
  // Whether the last lines of output may say why it failed, although none speaks of an error.
  virtual bool lastLinesTell() const { return true; }
  // Whether the engine can go on as `next` without a new process; only native ranks can.
  virtual bool isSameProcess(const Assignment& next) const { return next.ref == assignment_.ref; }
  // What the process does, as far as it can be told without its help; empty: not known.
  virtual std::string lastOperation() const { return ""; }
  // Tells the engine that `assignment_` is another now.
  virtual void tellAdvance() {}

  // Refuses DISK_FULL, or ENGINE_EXITED when the program cannot be started.
  Result<Done> spawn(ProcessSpec spec);
  void enter(ReplicaPhase phase, std::string message);
  // The first failure counts; the process is killed, its output kept.
  void fail(Reason reason, std::string message);
  // As fail(), of a process that hangs: says what it did last, and whether it is stopped.
  void stall(std::string message);
  void changed() { onChange_(); }
  bool over() const { return stopping_ || report_.phase == ReplicaPhase::FAILED; }

  RankEnvironment& environment_;
  RankFolder folder_;
  Assignment assignment_;
  RankReport report_;
  FirstError firstError_;

 private:
  std::string causeFromOutput();
  bool adopt();
  void watchExit();
  void ended(ExitStatus status);
  kj::Promise<void> endProcess();

  kj::Function<void()> onChange_;
  kj::Own<ChildProcess> process_;
  bool stopping_ = false;

 protected:
  Tasks tasks_;
};

kj::Own<RankUnit> makeNativeUnit(RankEnvironment& environment, RankFolder folder,
                                 Assignment assignment, kj::Function<void()> onChange);
kj::Own<RankUnit> makeProcessUnit(RankEnvironment& environment, RankFolder folder,
                                  Assignment assignment, kj::Function<void()> onChange);

}  // namespace muster::worker
