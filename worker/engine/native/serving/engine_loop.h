// The engine's thread on rank 0: takes requests, runs one step after another, hands out what comes.
#pragma once

#include "base/clock.h"
#include "worker/collective/collective.h"  // check_layers: depends: a header alone
#include "worker/engine/native/serving/answer_writer.h"
#include "worker/engine/native/serving/generation.h"
#include "worker/engine/native/serving/scheduler.h"
#include "worker/engine/native/step.h"  // check_layers: depends: a header alone

#include <kj/async.h>
#include <kj/function.h>
#include <kj/memory.h>
#include <kj/thread.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace muster::worker {

// One answer as the event loop sees it. Destroying it cancels it: its blocks are free before the
// next step.
class Generation {
 public:
  virtual ~Generation() noexcept(false) = default;
  // What has come since; waits until something has. Not to be asked again after the last piece.
  virtual kj::Promise<GenerationPiece> next() = 0;
};

struct RunningStep {
  uint64_t number = 0;
  SteadyTime since;
  uint32_t sequences = 0;
  uint32_t tokens = 0;
};

struct EngineStatus {
  uint32_t running = 0;
  uint32_t waiting = 0;
  uint32_t blocksUsed = 0;
  uint32_t blocksTotal = 0;
  uint64_t preemptions = 0;
  uint64_t steps = 0;
  std::optional<RunningStep> step;
  std::string broken;  // why nothing more is computed; empty: it goes on
};

// Its public members belong to one event loop; must outlive the generations it gives.
class EngineLoop {
 public:
  // All that is borrowed must outlive it. `tokenizer` may be null.
  EngineLoop(StepExecutor& executor, std::shared_ptr<const Tokenizer> tokenizer,
             SchedulerLimits limits, const Clock& clock);
  // Ends every answer with a failure, once the step under way is over.
  ~EngineLoop() noexcept(false);
  KJ_DISALLOW_COPY(EngineLoop);

  // The longest sequence, prompt and answer together.
  uint32_t longest() const { return scheduler_.longest(); }
  uint32_t vocabulary() const { return executor_.vocabulary(); }

  // Refuses TOO_LARGE for what never fits, OVERLOADED when too many wait, RANK_CRASHED when the
  // group is broken.
  Result<kj::Own<Generation>> submit(GenerationTask task);

  EngineStatus status() const;
  // Resolves with the cause when a step failed; nothing is computed afterwards. Take once.
  kj::Promise<std::string> broken() { return kj::mv(broken_.promise); }

 private:
  class Handle;
  using Ticket = uint64_t;  // of a request, before and after the scheduler knows it
  struct Submitted {
    Ticket ticket;
    GenerationTask task;
    std::shared_ptr<PieceQueue> pieces;
  };
  struct Active {
    Ticket ticket;
    AnswerWriter writer;
    std::shared_ptr<PieceQueue> pieces;
  };
  struct Inbox {
    std::vector<Submitted> submitted;
    std::vector<Ticket> cancelled;
    bool stop = false;
    bool empty() const { return submitted.empty() && cancelled.empty() && !stop; }
  };

  void cancel(Ticket ticket);
  // The engine's thread from here on.
  void run();
  Inbox takeInbox();
  void attempt(const std::string& what, kj::FunctionParam<void()> work);
  void handle(Inbox inbox);
  void admit(Submitted submitted);
  void computeStep();
  void breakDown(std::string why);
  void deliver(const PlannedStep& planned, const StepResult& result);
  void end(SequenceNumber number);
  void failAll(const Refusal& refusal);
  void publish(std::optional<RunningStep> step);

  StepExecutor& executor_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  SchedulerLimits limits_;
  const Clock& clock_;
  Ticket lastTicket_ = 0;
  kj::PromiseCrossThreadFulfillerPair<std::string> broken_;

  // Both sides, under the lock.
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  Inbox inbox_;
  EngineStatus status_;

  // The engine's thread alone.
  Scheduler scheduler_;
  std::map<SequenceNumber, Active> active_;
  std::map<Ticket, SequenceNumber> numbers_;

  kj::Thread thread_;  // joined first
};

}  // namespace muster::worker
