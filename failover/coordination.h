// The coordination service (ZooKeeper) as Muster sees it: one object is one session. The simulation
// has its twin.
#pragma once

#include "base/ids.h"
#include "base/units.h"

#include <kj/async.h>

#include <cstdint>
#include <string>
#include <vector>

namespace muster::failover {

enum class ZkCode {
  OK,
  NODE_EXISTS,
  NO_NODE,
  BAD_VERSION,
  NOT_EMPTY,
  NO_AUTH,
  CONNECTION_LOSS,  // outcome unknown: it may have happened or may yet happen
  SESSION_ENDED,    // expired or closed: for a write, outcome unknown
  NOT_REACHED,      // in a multi: not tried because another op failed
  OTHER,
};

enum class OpKind { CREATE, SET, REMOVE, CHECK };
enum class CreateMode { PERSISTENT, EPHEMERAL, EPHEMERAL_SEQUENTIAL };

constexpr int32_t ANY_VERSION = -1;

// One op of a multi. Made by the functions below; constructors are there because g++ 12 miscompiles
// aggregate temporaries inside a co_await expression.
struct Op {
  OpKind kind;
  std::string path;
  std::string data;
  int32_t version;
  CreateMode mode;
  Op(OpKind kind, std::string path, std::string data, int32_t version, CreateMode mode)
      : kind(kind), path(std::move(path)), data(std::move(data)), version(version), mode(mode) {}
};
inline Op createOp(std::string path, std::string data, CreateMode mode = CreateMode::PERSISTENT) {
  return Op(OpKind::CREATE, std::move(path), std::move(data), ANY_VERSION, mode);
}
inline Op setOp(std::string path, std::string data, int32_t version) {
  return Op(OpKind::SET, std::move(path), std::move(data), version, CreateMode::PERSISTENT);
}
inline Op removeOp(std::string path, int32_t version = ANY_VERSION) {
  return Op(OpKind::REMOVE, std::move(path), "", version, CreateMode::PERSISTENT);
}
inline Op checkOp(std::string path, int32_t version = ANY_VERSION) {  // ANY_VERSION: that it exists
  return Op(OpKind::CHECK, std::move(path), "", version, CreateMode::PERSISTENT);
}

struct Stat {
  int32_t version = 0;
  int64_t ephemeralOwner = 0;  // session id; 0: persistent
  int64_t createdZxid = 0;
};

struct OpResult {
  ZkCode code = ZkCode::OTHER;
  std::string path;      // CREATE: the real name
  int32_t version = -1;  // SET: the new version
};

struct MultiResult {
  ZkCode code = ZkCode::OTHER;  // OK, or of the first op that failed, or of the whole
  std::vector<OpResult> results;
};

struct GetResult {
  ZkCode code = ZkCode::OTHER;
  std::string data;
  Stat stat;
};

struct ListResult {
  ZkCode code = ZkCode::OTHER;
  std::vector<std::string> children;  // names, sorted
};

// `changed` resolves when the node is created, changed or removed, or when the connection was lost
// meanwhile: it only ever means "look again". It is rejected with DISCONNECTED when the session
// ends.
struct WatchResult {
  ZkCode code = ZkCode::OTHER;  // OK, NO_NODE, or a failure (then `changed` is ready)
  Stat stat;
  kj::Promise<void> changed = kj::READY_NOW;
};

enum class SessionState { CONNECTING, CONNECTED, ENDED };

// More than this in one multi (paths and data together) is refused before it is sent: from
// 1,048,575 bytes on, the server drops the connection and a retry would never end.
constexpr uint64_t REQUEST_BYTES_MAX = uint64_t{512} * 1024;

// Facts about a session for alarms and metrics.
struct SessionHealth {
  Duration timeoutAsked;
  Duration
      timeoutGranted;  // 0 before the first connect; the service rounds and clamps what is asked
  uint64_t reconnects = 0;     // connections after the first
  uint64_t watchdogKicks = 0;  // requests sent only because an op seemed stuck
  uint64_t watches = 0;        // paths watched now
};

// One session, from its first connect to its end. Calls are sent in order and answered in order. A
// call made while CONNECTING waits for the connection (and may then run late: whoever must not,
// checks the state first). A failure of the service is a code, never an exception; calls after the
// end answer SESSION_ENDED.
class CoordinationSession {
 public:
  virtual ~CoordinationSession() noexcept(false) = default;
  // All or none. Refuses (FAILED exception) more than 512 KiB in all.
  virtual kj::Promise<MultiResult> multi(std::vector<Op> ops) = 0;
  virtual kj::Promise<GetResult> get(std::string path) = 0;
  virtual kj::Promise<ListResult> list(std::string path) = 0;
  virtual kj::Promise<WatchResult> watch(std::string path) = 0;
  virtual int64_t sessionId() const = 0;  // 0 before the first connect
  virtual SessionState state() const = 0;
  // Resolves at the next change of state(); never rejects.
  virtual kj::Promise<void> stateChanged() = 0;
  virtual SessionHealth health() const { return {}; }
  // Asks the service to end the session (its ephemerals go at once), without blocking; ENDED
  // follows.
  virtual void close() = 0;
};

// Opens sessions. One process may hold several, one after the other or side by side.
class CoordinationService {
 public:
  virtual ~CoordinationService() noexcept(false) = default;
  // Returns at once with a session in state CONNECTING.
  virtual kj::Own<CoordinationSession> open() = 0;
};

}  // namespace muster::failover
