// Who waits for which path of a session. The C client is given a number for a path, never an
// address: it may call back long after everyone forgot. The same number for the same path, so that
// many looks are one registration.
#pragma once

#include <kj/async.h>
#include <kj/debug.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace muster::failover {

class WatchTable {
 public:
  // A request to watch `path` is being sent; the number to register. Each is followed by one
  // answered().
  uint64_t asked(const std::string& path);
  void answered(const std::string& path);

  // Resolves when the path's watch fires or everyone is woken; rejected when all are ended.
  kj::Promise<void> wait(const std::string& path);

  void fire(uint64_t number);  // unknown numbers are ignored
  void wakeAll();              // the registrations stay: the client renews them when it reconnects
  void endAll(const kj::Exception& why);
  size_t size() const { return watches_.size(); }  // paths registered

 private:
  using Waiters = std::vector<kj::Own<kj::PromiseFulfiller<void>>>;
  struct Watch {
    uint64_t number = 0;
    uint64_t callsPending = 0;
    Waiters waiters;
  };
  Watch& watchOf(const std::string& path);

  uint64_t nextNumber_ = 1;
  std::map<std::string, Watch> watches_;
  std::map<uint64_t, std::string> paths_;
};

}  // namespace muster::failover
