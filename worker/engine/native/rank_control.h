// The control socket's side of a native rank: turns the agent's calls into calls of NativeRank.
#pragma once

#include "protocol/rank.capnp.h"
#include "worker/engine/native/native_rank.h"

#include <kj/async.h>
#include <kj/function.h>

namespace muster::worker {

class RankControlServer final : public schema::RankControl::Server {
 public:
  // `onStop` is called once the agent has asked the rank to leave. Both must outlive this.
  RankControlServer(NativeRank& rank, kj::Function<void()> onStop);

 protected:
  kj::Promise<void> start(StartContext context) override;
  kj::Promise<void> status(StatusContext context) override;
  kj::Promise<void> meet(MeetContext context) override;
  kj::Promise<void> stop(StopContext context) override;
  kj::Promise<void> advance(AdvanceContext context) override;

 private:
  NativeRank& rank_;
  kj::Function<void()> onStop_;
};

}  // namespace muster::worker
