// One leadership = one session = one epoch: what a leader may do while it lasts.
#pragma once

#include "failover/coordination.h"
#include "failover/paths.h"
#include "protocol/batch.h"

#include <kj/async.h>
#include <kj/timer.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace muster::failover {

// Why a leadership ended.
enum class LeadershipEnd { SESSION_ENDED, FENCED, HANDED_OVER, STORE_FAULT };

struct LeadershipEnded {
  LeadershipEnd why;
  std::string text;  // for the log and `admin status`
};

// Gives the leader's cluster time and wall time for a batch that is cut now.
struct BatchTimes {
  Instant leaderTime;
  WallTime wallTime;
};

// A command and the batch round it must fit into one request; this leaves room for the latter.
constexpr uint64_t COMMAND_BYTES_MAX = REQUEST_BYTES_MAX - 4096;

struct AppendOptions {
  Bytes batchBytesMax = 64_KiB;  // a batch is cut here; a single command may be larger, to 512 KiB
  uint32_t windowMax = 4;        // batches in flight
};

class Leadership {
 public:
  virtual ~Leadership() noexcept(false) = default;

  virtual Epoch epoch() const = 0;
  virtual HistoryId history() const = 0;
  virtual const LogPosition& appended() const = 0;  // including what is in flight

  // Appends one command behind everything appended before. The index it will have is known at once;
  // the promise resolves when it is committed, in order. It is rejected with DISCONNECTED when the
  // leadership ends before the outcome is known ("outcome unknown") and never later resolved.
  // Refuses above COMMAND_BYTES_MAX (FAILED).
  struct Appended {
    LogIndex index;
    kj::Promise<void> committed;
  };
  virtual Appended append(ByteString command) = 0;
  // Rides in the next batch that is cut.
  virtual void noteStateHash(StateHash hash) = 0;

  // Called once per committed batch, in order, before the promises of its commands resolve.
  virtual void onCommitted(std::function<void(const Batch&, const LogPosition&)> handler) = 0;

  // Resolves when a multi that checks the epoch, sent after this call, has committed. Waiting calls
  // share one; an append serves as one. Rejected with DISCONNECTED when the leadership ends.
  virtual kj::Promise<void> barrier() = 0;
  // Sending time (steady clock) of the newest epoch check that has committed: the base of every
  // lease.
  virtual SteadyTime lastCommittedCheckSent() const = 0;
  // When the answer of an epoch check last said that it has committed. No lease and no answer rests
  // on it: it only says since when nothing commits any more.
  virtual SteadyTime lastCheckCommitted() const = 0;

  // Does `ops` all or none, together with a check of this leadership's epoch. Another's epoch ends
  // the leadership; every other outcome is in the answer, which may be unknown. Rejected with
  // DISCONNECTED when the leadership is over.
  virtual kj::Promise<MultiResult> fenced(std::vector<Op> ops) = 0;

  // Ends this leadership in favour of the named candidate (empty: next in line). Looks for it while
  // everything goes on; then calls `pausing`, drains what was appended until then, and sends
  // multi{set(epoch -> {e+1, successor}), check(successor's candidate), delete(own candidate)}.
  // What is appended after `pausing` waits for the outcome. False when there was no such candidate,
  // also without `pausing` having been called; then the leadership goes on.
  virtual kj::Promise<bool> handOver(CoordinatorId successor, std::function<void()> pausing) = 0;

  // Resolves, once, when it is over for whatever reason. After that nothing is sent any more.
  virtual kj::Promise<LeadershipEnded> ended() = 0;
  // Appends, checks and answers given up or refused because the epoch or session was over.
  virtual uint64_t fencedAttempts() const = 0;
};

}  // namespace muster::failover
