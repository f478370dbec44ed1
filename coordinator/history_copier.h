// Fetches the events and audit rows that this coordinator lacks, because it was restored from a
// snapshot, from peers that have them. In the background: nothing waits for it.
#pragma once

#include "base/co.h"
#include "base/rpc.h"
#include "coordinator/environment.h"
#include "coordinator/history_store.h"
#include "protocol/peer_services.capnp.h"

#include <kj/async.h>

#include <vector>

namespace muster::coordinator {

// Copies from the newest missing index down, a part at a time. A part is kept when all peers that
// answer agree on it, before the next is asked for: StoreMeta::historyFrom says at any time what is
// here, and a restart goes on there.
class HistoryCopier {
 public:
  struct Parts {
    CoordinatorEnvironment env;
    HistoryStore& history;           // of the same store as `env.store`
    std::vector<PeerAddress> peers;  // the other coordinators
    uint64_t keptEvents;             // indices below the newest for which history is wanted at all
  };
  // All borrowed.
  explicit HistoryCopier(Parts parts) : parts_(kj::mv(parts)) {}
  KJ_DISALLOW_COPY(HistoryCopier);

  // Never resolves. What goes wrong is logged and tried again.
  kj::Promise<void> run() { return runCo(); }

 private:
  struct Source {
    kj::Own<RpcConnection> connection;
    schema::PeerServices::Client services;
  };
  using Answer = std::optional<HistoryPart>;

  Co<void> runCo();
  Co<void> copyCo();
  Co<std::vector<Source>> connectAll();
  kj::Promise<std::vector<HistoryPart>> ask(std::vector<Source>& sources, const StoreMeta& meta);
  kj::Promise<Answer> askOne(Source& source, const StoreMeta& meta);
  bool keep(std::vector<HistoryPart> answers, LogIndex before);
  LogIndex wantedFrom(const StoreMeta& meta) const;
  bool isWanted() const;

  Parts parts_;
};

}  // namespace muster::coordinator
