// A simulated ensemble of the coordination service with ZooKeeper's semantics, bad ones included:
// three servers that lag behind the leader each in its own way, sessions that expire on the
// server's side, replies that get lost, clients that move to another server.
//
// - A write runs on the leader's tree; what it changed is a transaction that each server applies
// after
//   its own lag, in order. Its reply leaves when the client's own server has applied it.
// - A read waits for the writes before it in its session, and sees only what its server has
// applied.
// - Watches fire once, when that server applies the change, on the same stream as replies.
// - A connection that breaks leaves outcomes unknown: what was sent may have happened, and after a
//   partition may yet happen.
#pragma once

#include "failover/coordination.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_tree.h"
#include "tests/sim/world.h"

#include <kj/refcount.h>

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace muster::sim {

struct CoordinationKnobs {
  Duration sessionTimeout = 1_s;
  Duration tick = 200_ms;  // expiry is judged this often
  Duration lagMax = 2_ms;  // of a server behind the leader
  uint32_t slowLagPpm = 5'000;
  Duration slowLagMax = 200_ms;
  uint32_t lostRequestPpm = 0;  // the connection breaks before the server has it
  uint32_t lostReplyPpm = 0;    // ... after it was carried out
  uint32_t lostWatchPpm = 0;    // an event that never comes
  bool loneWritesHang = false;  // 3.8.0: until anything else is asked in the same session
  bool lateNews = false;        // a client hears of a broken connection late, and asks on meanwhile
};

// NUDGE: any request at all, sent because an older one seems to hang; nobody waits for its answer.
enum class RequestKind { MULTI, GET, LIST, WATCH, PING, NUDGE, CLOSE };

struct CoordinationRequest {
  uint64_t id = 0;  // counts the requests of a session
  RequestKind kind = RequestKind::PING;
  std::vector<failover::Op> ops;
  std::string path;
  bool isWrite() const { return kind == RequestKind::MULTI || kind == RequestKind::CLOSE; }
};

struct CoordinationReply {
  uint64_t id = 0;
  RequestKind kind = RequestKind::PING;
  int64_t zxid = 0;
  failover::ZkCode code = failover::ZkCode::OK;
  failover::MultiResult multi;
  std::string data;
  failover::Stat stat;
  std::vector<std::string> children;
  kj::Promise<void> changed = kj::READY_NOW;  // filled by the client
};

class SimSession;

// One connection of a session to a server.
class Link final : public kj::Refcounted {
 public:
  Link(Host& host, SimSession& client, size_t server, uint64_t id)
      : host(host), boot(host.boot()), client(&client), server(server), id(id) {}

  Host& host;
  uint32_t boot;
  SimSession* client;  // nothing once the client has given it up
  size_t server;
  uint64_t id;
  int64_t session = 0;
  bool openAtServer = true;
  SteadyTime lastToServer;
  SteadyTime lastToClient;
  std::deque<kj::Function<void()>> heldToServer;  // while cut off from each other
  std::deque<kj::Function<void()>> heldToClient;
  // At the server:
  struct Written {
    int64_t zxid;
    CoordinationReply reply;
  };
  std::deque<CoordinationRequest> lane;
  std::deque<CoordinationRequest> hanging;  // a lone write, until something else comes
  std::deque<Written> written;              // replies that wait for this server to catch up
  std::set<std::string> watches;
};

class SimZooKeeper {
 public:
  static constexpr size_t SERVERS = 3;
  // By how much zxids rise when the servers choose another leader of their own, as at each start.
  static constexpr int64_t ELECTION = 1'000'000;

  SimZooKeeper(World& world, SimNetwork& network);
  ~SimZooKeeper() noexcept(false);
  KJ_DISALLOW_COPY(SimZooKeeper);

  CoordinationKnobs knobs;

  // What a process on `host` reaches it with.
  kj::Own<failover::CoordinationService> service(Host& host);

  // Faults. While fewer than two servers are up and in touch nothing is written and no session
  // ends.
  uint64_t numberOf(size_t server) const { return 1'000 + server; }  // for SimNetwork::cut
  void expire(int64_t session);
  void breakConnections(size_t server);
  void removeByHand(const std::string& path);  // by another client
  void setDown(size_t server, bool down);
  // Cut off from the leader: answers reads and pings from what it has, and nothing else.
  void setIsolated(size_t server, bool isolated);
  // From now on this server misses the end of ephemerals, until it is started anew (3.8.0).
  void keepGhosts(size_t server) { servers_[server].keepsGhosts = true; }
  void dropGhosts(size_t server);
  std::vector<int64_t> liveSessions() const;
  struct Session {
    Duration timeout;
    SteadyTime touched;
    bool ended = false;
    uint64_t link = 0;  // current one
  };
  struct Data {
    SimTree tree;
    std::map<int64_t, Session> sessions;
    int64_t zxid = 0;
  };
  // What the servers' disks hold. `data` may be put under them in its place: a loss of power takes
  // what they had not synced, a person starts them from a backup. They are down afterwards.
  Data data() const { return {truth_, sessions_, zxid_}; }
  void replaceData(const Data& data);

  const SimTree& truth() const { return truth_; }
  // Called when a transaction is committed; nobody has heard of it yet.
  void onCommitted(std::function<void(const Transaction&)> handler) {
    onCommitted_ = kj::mv(handler);
  }
  // Called when other data were put under the servers.
  void onReplaced(std::function<void(const SimTree& before, const SimTree& after)> handler) {
    onReplaced_ = kj::mv(handler);
  }
  struct Counts {
    uint64_t transactions = 0, lostReplies = 0, lostRequests = 0, expired = 0, moves = 0;
    uint64_t lostWatches = 0, ghosts = 0, hangs = 0, queued = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  friend class SimSession;
  struct Server {
    SimTree tree;
    int64_t zxid = 0;
    bool down = false;
    bool isolated = false;
    bool keepsGhosts = false;
    std::vector<std::string> ghosts;
    std::deque<Transaction> pending;
    SteadyTime lastApply;
    uint64_t applyDue = 0;  // of `pending`, how many have had their time
    std::map<uint64_t, kj::Own<Link>> links;
    bool follows() const { return !down && !isolated; }
  };
  bool hasQuorum() const;

  // From the client, inside its host.
  void dial(kj::Own<Link> link, int64_t session, int64_t zxidSeen);
  void send(Link& link, CoordinationRequest request);
  void hangUp(Link& link);

  // At the servers, in the world's own events.
  void toServer(Link& link, kj::Function<void()> action);
  void toClient(Link& link, kj::Function<void()> action);
  void accept(Link& link, int64_t session, int64_t zxidSeen);
  void take(Link& link, CoordinationRequest request);
  void pump(Link& link);
  void write(Link& link, CoordinationRequest request);
  void answerRead(Link& link, const CoordinationRequest& request);
  void reply(Link& link, CoordinationReply reply);
  void release(Link& link);
  void breakLink(Link& link);
  void closeAtServer(Link& link);
  void commit(std::vector<TreeChange> changes);
  void applyNext(size_t server);
  void applyDue(Server& server);
  void fire(Server& server, const TreeChange& change);
  void endSession(int64_t id);
  void review();
  void flushHeld();
  bool hit(uint32_t ppm) { return ppm > 0 && random_.below(1'000'000) < ppm; }

  World& world_;
  SimNetwork& network_;
  SeededRandom random_;
  SimTree truth_;
  int64_t zxid_ = 0;
  Server servers_[SERVERS];
  std::map<int64_t, Session> sessions_;
  int64_t nextSession_ = 0x1000;
  uint64_t nextLink_ = 1;
  uint64_t replacements_ = 0;  // of the data
  std::function<void(const Transaction&)> onCommitted_;
  std::function<void(const SimTree&, const SimTree&)> onReplaced_;
  Counts counts_;
};

}  // namespace muster::sim
