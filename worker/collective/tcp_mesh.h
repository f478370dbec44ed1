// The connections of one rank to ranks on other hosts, shared by its communicators.
#pragma once

#include "base/ids.h"

#include <kj/io.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>

namespace muster::worker {

// One connection for each peer. All communicators may share them, since one thread calls them all
// and every member calls them in the same order.
class TcpMesh {
 public:
  // `connections`: connected sockets whose other end has proved to belong to the group.
  explicit TcpMesh(std::map<RankNumber, kj::AutoCloseFd> connections);

  // Throws std::out_of_range when there is no connection to `rank`.
  int connectionTo(RankNumber rank) const { return connections_.at(rank).get(); }
  // Readable once the mesh is broken, so that a poll ends.
  int brokenEvent() const { return event_.get(); }

  // Ends everything here, and shuts the connections, so that the peers notice. The first reason
  // stays. May be called from any thread.
  void breakUp(const std::string& why);
  bool broken() const { return broken_.load(std::memory_order_acquire); }
  std::string whyBroken() const;

 private:
  std::map<RankNumber, kj::AutoCloseFd> connections_;
  kj::AutoCloseFd event_;
  std::atomic<bool> broken_{false};
  mutable std::mutex mutex_;  // of `why_` alone
  std::string why_;
};

}  // namespace muster::worker
