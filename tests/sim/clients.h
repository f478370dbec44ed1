// Clients that apply, scale, delete, cordon, drain and read, each one thing at a time, and ask
// again with the same request id until they are answered.
#pragma once

#include "tests/sim/checkers.h"
#include "tests/sim/cluster.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::sim {

class Client {
 public:
  Client(Cluster& cluster, Checkers& checkers, std::string name);
  KJ_DISALLOW_COPY(Client);

  void start();
  // No new work; what is asked already is asked until it is answered.
  void stop() { stopping_ = true; }
  bool isIdle() const { return !busy_; }
  // Asks for these, one after the other, and then stops.
  void finishWith(std::vector<CommandBody> bodies);

  struct Counts {
    uint64_t accepted = 0, refused = 0, retried = 0, reads = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  void next();
  void begin(CommandBody body);
  void tryOnce();
  void ask(CoordinatorMachine& machine, uint64_t attempt);
  void answered(uint64_t attempt, LogIndex index);
  void refusedForGood(uint64_t attempt);
  void again(uint64_t attempt);
  void readOnce();
  void readFrom(CoordinatorMachine& machine, LogIndex known);
  void readStale(CoordinatorMachine& machine, LogIndex known);
  CommandBody drawBody();
  DeploymentSpec drawSpec();
  CoordinatorMachine& drawCoordinator();
  bool oneIn(uint64_t count) { return random_.below(count) == 0; }
  Duration draw(Duration min, Duration max);

  Cluster& cluster_;
  Checkers& checkers_;
  std::string name_;
  SeededRandom random_;
  bool stopping_ = false;
  bool busy_ = false;
  std::vector<CommandBody> last_;  // newest first
  std::optional<CommandBody> body_;
  RequestId request_;
  SteadyTime begunAt_;
  uint64_t attempt_ = 0;
  LogIndex lastIndex_;    // the highest it has seen in an answer
  size_t favourite_ = 0;  // the coordinator that answered last
  Counts counts_;
};

}  // namespace muster::sim
