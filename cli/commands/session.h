// A command's conversation with its cluster: opened from the chosen context, ended with the
// command.
#pragma once

#include "base/event_loop.h"
#include "base/random.h"
#include "cli/cluster_client.h"
#include "cli/commands/invocation.h"
#include "cli/context.h"
#include "cli/seen_index.h"

#include <kj/memory.h>

#include <string>

namespace muster::cli {

struct Reply {
  Json json;
  LogIndex index;
};

class Session {
 public:
  // `invocation` must outlive it. Refuses when there is no context or its files cannot be used.
  static Result<kj::Own<Session>> open(Invocation& invocation);
  Session(Invocation& invocation, ChosenContext context);
  ~Session() noexcept(false);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Waits for the answer. Throws Interrupted when the user leaves first.
  Result<Reply> ask(ClusterCall call);

  // Waits for work that goes on after an answer. Throws Interrupted when the user leaves first, and
  // what the promise throws.
  Result<Done> finish(kj::Promise<Result<Done>> work);
  kj::Timer& timer() { return loop_.timer(); }

  // What is said when the user leaves.
  void setDetached(std::string text) { detached_ = std::move(text); }
  kj::TimePoint now() { return loop_.timer().now(); }

 private:
  Refusal explained(Refusal refusal) const;

  Invocation& invocation_;
  ChosenContext context_;
  EventLoop loop_;
  SystemRandom random_;
  kj::Own<Transport> transport_;
  kj::Own<ClusterClient> client_;
  SeenIndexFile seenFile_;
  std::string detached_;
  kj::ForkedPromise<int> interrupted_;
};

// The reading choice of --stale.
ReadChoice readChoiceOf(const Invocation& invocation);

}  // namespace muster::cli
