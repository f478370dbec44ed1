// Ranks in systemd scopes of their own, so that whatever happens to the worker's unit does not
// touch them.
#pragma once

#include "base/process.h"

#include <kj/memory.h>

#include <string>

namespace muster::worker {

struct RankScopes {
  // Where muster-rank-scope.socket listens: who connects is put into a scope.
  std::string socket = "/run/muster/rank-scope.sock";
  // Connects there and then becomes the program that it is given.
  std::string program = "/usr/lib/muster/muster-enter-scope";
};

// `inner`, with every process started through `scopes` while the socket is there and ours to use;
// else as `inner` does it. `inner` outlives it.
kj::Own<ProcessRunner> makeScopedRunner(ProcessRunner& inner, RankScopes scopes = {});

}  // namespace muster::worker
