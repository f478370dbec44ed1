#include "tests/sim/sim_coordination.h"

#include "tests/sim/sim_session.h"

#include <kj/debug.h>

#include <algorithm>
#include <utility>

namespace muster::sim {

using failover::ZkCode;

SimZooKeeper::SimZooKeeper(World& world, SimNetwork& network)
    : world_(world), network_(network), random_(world.fork("coordination")) {
  network_.onHeal([this] { flushHeld(); });
  world_.after(knobs.tick, [this] { review(); });
}

// What is held holds its link.
SimZooKeeper::~SimZooKeeper() noexcept(false) {
  for (Server& server : servers_) {
    for (auto& [id, link] : server.links) {
      link->heldToServer.clear();
      link->heldToClient.clear();
    }
  }
}

// ---- what comes from clients

// Bytes to a server that cannot be reached are kept, as TCP does, also after the client has given
// the connection up.
void SimZooKeeper::toServer(Link& link, kj::Function<void()> action) {
  if (network_.isCut(link.host.number(), numberOf(link.server))) {
    if (link.openAtServer) link.heldToServer.push_back(kj::mv(action));
    return;
  }
  link.lastToServer =
      std::max(SteadyTime{link.lastToServer.nanos + 1}, world_.now() + network_.delay());
  world_.at(link.lastToServer, kj::mv(action));
}

void SimZooKeeper::toClient(Link& link, kj::Function<void()> action) {
  if (network_.isCut(numberOf(link.server), link.host.number())) {
    if (link.openAtServer) link.heldToClient.push_back(kj::mv(action));
    return;
  }
  if (!link.host.isUp() || link.host.boot() != link.boot) return;
  link.lastToClient =
      std::max(SteadyTime{link.lastToClient.nanos + 1}, world_.now() + network_.delay());
  world_.at(link.lastToClient, link.host, kj::mv(action));
}

void SimZooKeeper::flushHeld() {
  for (Server& server : servers_) {
    std::vector<kj::Own<Link>> links;
    for (auto& [id, link] : server.links) links.push_back(kj::addRef(*link));
    for (auto& link : links) {
      for (auto& action : std::exchange(link->heldToServer, {})) toServer(*link, kj::mv(action));
      for (auto& action : std::exchange(link->heldToClient, {})) toClient(*link, kj::mv(action));
    }
  }
}

void SimZooKeeper::dial(kj::Own<Link> link, int64_t session, int64_t zxidSeen) {
  Link& borrowed = *link;
  servers_[link->server].links.emplace(link->id, kj::addRef(*link));
  toServer(borrowed, [this, link = kj::mv(link), session, zxidSeen]() mutable {
    accept(*link, session, zxidSeen);
  });
}

void SimZooKeeper::accept(Link& link, int64_t session, int64_t zxidSeen) {
  Server& server = servers_[link.server];
  if (server.isolated) return;  // whether the session lives, only the leader knows
  if (server.down || !hasQuorum() || server.zxid < zxidSeen) return breakLink(link);
  if (session == 0) {
    session = nextSession_++;
    sessions_[session] = Session{knobs.sessionTimeout, world_.now(), false, 0};
  }
  auto found = sessions_.find(session);  // unknown: its beginning was lost
  if (found == sessions_.end() || found->second.ended) {
    toClient(link, [self = kj::addRef(link)] {
      if (self->client != nullptr) self->client->expired();
    });
    return;
  }
  Session& known = found->second;
  for (Server& other : servers_) {  // the session has moved: its old connection is worth nothing
    auto old = other.links.find(known.link);
    if (old == other.links.end()) continue;
    auto keep = kj::addRef(*old->second);
    breakLink(*keep);
    counts_.moves++;
  }
  known.link = link.id;
  known.touched = world_.now();
  link.session = session;
  world_.mix(static_cast<uint64_t>(session));
  toClient(link, [self = kj::addRef(link), session, timeout = known.timeout] {
    if (self->client != nullptr) self->client->connected(session, timeout);
  });
}

void SimZooKeeper::send(Link& link, CoordinationRequest request) {
  toServer(link, [this, self = kj::addRef(link), request = kj::mv(request)]() mutable {
    take(*self, kj::mv(request));
  });
}

// The client closes its socket; the server hears it behind everything that was sent before.
void SimZooKeeper::hangUp(Link& link) {
  link.client = nullptr;
  if (link.host.isSilent()) return;
  toServer(link, [this, self = kj::addRef(link)]() mutable { closeAtServer(*self); });
}

void SimZooKeeper::take(Link& link, CoordinationRequest request) {
  Server& server = servers_[link.server];
  if (!link.openAtServer || server.down) return;
  auto session = sessions_.find(link.session);
  if (session == sessions_.end() || session->second.link != link.id) return breakLink(link);
  if (server.follows()) session->second.touched = world_.now();
  if (request.kind == RequestKind::PING) {
    return toClient(link, [self = kj::addRef(link)] {
      if (self->client != nullptr) self->client->heard();
    });
  }
  if (hit(knobs.lostRequestPpm)) {
    counts_.lostRequests++;
    return breakLink(link);
  }
  bool isLone = link.lane.empty() && link.written.empty() && link.hanging.empty();
  if (knobs.loneWritesHang && isLone && request.kind == RequestKind::MULTI &&
      random_.below(8) == 0) {
    counts_.hangs++;
    link.hanging.push_back(kj::mv(request));
    return;
  }
  while (!link.hanging.empty()) {
    link.lane.push_back(kj::mv(link.hanging.front()));
    link.hanging.pop_front();
  }
  if (request.kind != RequestKind::NUDGE) link.lane.push_back(kj::mv(request));
  pump(link);
}

bool SimZooKeeper::hasQuorum() const {
  size_t following = 0;
  for (const Server& server : servers_) following += server.follows() ? 1 : 0;
  return following * 2 > SERVERS;
}

// Writes are pipelined; a read waits for the writes before it, and everything waits for that read.
void SimZooKeeper::pump(Link& link) {
  while (link.openAtServer && !link.lane.empty()) {
    bool isWrite = link.lane.front().isWrite();
    bool ready = isWrite ? servers_[link.server].follows() && hasQuorum() : link.written.empty();
    if (!ready) return;
    CoordinationRequest next = kj::mv(link.lane.front());
    link.lane.pop_front();
    if (next.isWrite()) {
      write(link, kj::mv(next));
    } else {
      answerRead(link, next);
    }
  }
}

void SimZooKeeper::write(Link& link, CoordinationRequest request) {
  CoordinationReply reply;
  reply.id = request.id;
  reply.kind = request.kind;
  if (sessions_.at(link.session).ended) return breakLink(link);
  if (request.kind == RequestKind::CLOSE) {
    endSession(link.session);
  } else {
    std::vector<TreeChange> changes;
    reply.multi = truth_.execute(request.ops, link.session, zxid_ + 1, changes);
    reply.code = reply.multi.code;
    if (reply.code == ZkCode::OK) commit(kj::mv(changes));
  }
  reply.zxid = zxid_;
  link.written.push_back({zxid_, kj::mv(reply)});
  release(link);
}

void SimZooKeeper::answerRead(Link& link, const CoordinationRequest& request) {
  Server& server = servers_[link.server];
  CoordinationReply reply;
  reply.id = request.id;
  reply.kind = request.kind;
  reply.zxid = server.zxid;
  const Znode* node = server.tree.find(request.path);
  if (request.kind == RequestKind::WATCH) link.watches.insert(request.path);
  if (node == nullptr) {
    reply.code = ZkCode::NO_NODE;
  } else {
    reply.stat = {node->version, node->ephemeralOwner, node->createdZxid};
    if (request.kind == RequestKind::GET) reply.data = *node->data;
    if (request.kind == RequestKind::LIST) reply.children = server.tree.childrenOf(request.path);
  }
  this->reply(link, kj::mv(reply));
}

void SimZooKeeper::reply(Link& link, CoordinationReply reply) {
  if (hit(knobs.lostReplyPpm)) {
    counts_.lostReplies++;
    return breakLink(link);
  }
  toClient(link, [self = kj::addRef(link), reply = kj::mv(reply)]() mutable {
    if (self->client != nullptr) self->client->answered(kj::mv(reply));
  });
}

void SimZooKeeper::release(Link& link) {
  while (link.openAtServer && !link.written.empty() &&
         link.written.front().zxid <= servers_[link.server].zxid) {
    CoordinationReply next = kj::mv(link.written.front().reply);
    link.written.pop_front();
    reply(link, kj::mv(next));
  }
}

// ---- connections

// As a reset: the client hears of it when it can be reached.
void SimZooKeeper::breakLink(Link& link) {
  auto keep = kj::addRef(link);
  closeAtServer(link);
  toClient(*keep, [self = kj::addRef(*keep)] {
    if (self->client != nullptr) self->client->broken();
  });
}

void SimZooKeeper::closeAtServer(Link& link) {
  auto keep = kj::addRef(link);
  link.openAtServer = false;
  link.lane.clear();
  link.hanging.clear();
  link.written.clear();
  link.watches.clear();
  link.heldToServer.clear();
  link.heldToClient.clear();
  // A client that is cut off hears nothing of it, and gives up by itself.
  servers_[link.server].links.erase(link.id);
}

void SimZooKeeper::breakConnections(size_t number) {
  std::vector<kj::Own<Link>> links;
  for (auto& [id, link] : servers_[number].links) links.push_back(kj::addRef(*link));
  for (auto& link : links) {
    if (link->openAtServer) breakLink(*link);
  }
}

void SimZooKeeper::removeByHand(const std::string& path) {
  if (!hasQuorum()) return;
  std::vector<failover::Op> ops(1, failover::removeOp(path));
  std::vector<TreeChange> changes;
  auto removed = truth_.execute(ops, 0, zxid_ + 1, changes);
  if (removed.code == ZkCode::OK) commit(kj::mv(changes));
}

void SimZooKeeper::setDown(size_t number, bool down) {
  servers_[number].down = down;
  if (down) return breakConnections(number);
  applyDue(servers_[number]);
  // The quorum is back, perhaps: what waited for it goes on, and sessions have their whole time.
  for (auto& [id, session] : sessions_) session.touched = world_.now();
  for (Server& server : servers_) {
    std::vector<kj::Own<Link>> links;
    for (auto& [id, link] : server.links) links.push_back(kj::addRef(*link));
    for (auto& link : links) pump(*link);
  }
}

// As the ensemble's next election does, a jump of the transaction number tells the lives apart: no
// client has seen more than the servers hold.
void SimZooKeeper::replaceData(const Data& data) {
  SimTree before = std::exchange(truth_, data.tree);
  replacements_++;
  sessions_ = data.sessions;
  zxid_ = data.zxid + ELECTION;
  for (size_t i = 0; i < SERVERS; i++) {
    setDown(i, true);
    servers_[i].tree = truth_;
    servers_[i].zxid = zxid_;
    servers_[i].pending.clear();
    servers_[i].applyDue = 0;
    servers_[i].ghosts.clear();
  }
  world_.mix(static_cast<uint64_t>(zxid_));
  if (onReplaced_) onReplaced_(before, truth_);
}

void SimZooKeeper::dropGhosts(size_t number) {
  Server& server = servers_[number];
  server.keepsGhosts = false;
  for (const std::string& path : std::exchange(server.ghosts, {})) {
    if (truth_.find(path) == nullptr)
      server.tree.apply(Transaction{server.zxid, {{path, {}, false}}});
  }
  breakConnections(number);
}

void SimZooKeeper::setIsolated(size_t number, bool isolated) {
  Server& server = servers_[number];
  server.isolated = isolated;
  // It drops its clients when it finds its leader again, and they come back to where they can.
  if (!isolated) {
    applyDue(server);
    breakConnections(number);
  }
}

// ---- transactions

void SimZooKeeper::commit(std::vector<TreeChange> changes) {
  Transaction transaction{++zxid_, kj::mv(changes)};
  counts_.transactions++;
  world_.mix(static_cast<uint64_t>(transaction.zxid));
  if (onCommitted_) onCommitted_(transaction);
  for (size_t i = 0; i < SERVERS; i++) {
    Server& server = servers_[i];
    server.pending.push_back(transaction);
    auto lag = static_cast<int64_t>(random_.below(static_cast<uint64_t>(knobs.lagMax.nanos) + 1));
    if (hit(knobs.slowLagPpm)) {
      lag += static_cast<int64_t>(random_.below(static_cast<uint64_t>(knobs.slowLagMax.nanos) + 1));
    }
    server.lastApply =
        std::max(SteadyTime{server.lastApply.nanos + 1}, world_.now() + Duration{lag});
    world_.at(server.lastApply, [this, i, before = replacements_] {
      if (before == replacements_) applyNext(i);
    });
  }
}

void SimZooKeeper::applyNext(size_t number) {
  servers_[number].applyDue++;
  applyDue(servers_[number]);
}

void SimZooKeeper::applyDue(Server& server) {
  while (server.follows() && server.applyDue > 0) {
    server.applyDue--;
    Transaction transaction = kj::mv(server.pending.front());
    server.pending.pop_front();
    if (server.keepsGhosts) {
      auto isGhost = [&](const TreeChange& change) {
        const Znode* known = server.tree.find(change.path);
        bool ends = !change.node && known != nullptr && known->ephemeralOwner != 0;
        if (ends) server.ghosts.push_back(change.path);
        return ends;
      };
      counts_.ghosts += std::erase_if(transaction.changes, isGhost);
    }
    for (const TreeChange& change : transaction.changes) fire(server, change);
    server.tree.apply(transaction);
    server.zxid = transaction.zxid;
    std::vector<kj::Own<Link>> links;
    for (auto& [id, link] : server.links) links.push_back(kj::addRef(*link));
    for (auto& link : links) {
      release(*link);
      pump(*link);
    }
  }
}

void SimZooKeeper::fire(Server& server, const TreeChange& change) {
  const Znode* before = server.tree.find(change.path);
  bool seen = !change.node || before == nullptr || before->version != change.node->version;
  if (!seen) return;
  for (auto& [id, link] : server.links) {
    if (link->watches.erase(change.path) == 0) continue;
    if (hit(knobs.lostWatchPpm)) {
      counts_.lostWatches++;
      continue;
    }
    toClient(*link, [self = kj::addRef(*link), path = change.path] {
      if (self->client != nullptr) self->client->fired(path);
    });
  }
}

// ---- sessions

void SimZooKeeper::review() {
  std::vector<int64_t> over;
  for (const auto& [id, session] : sessions_) {
    if (!session.ended && world_.now() - session.touched > session.timeout) over.push_back(id);
  }
  if (!hasQuorum()) over.clear();  // nobody leads the ensemble, so nobody counts
  for (int64_t id : over) expire(id);
  world_.after(knobs.tick, [this] { review(); });
}

void SimZooKeeper::expire(int64_t id) {
  auto session = sessions_.find(id);
  if (session == sessions_.end() || session->second.ended || !hasQuorum()) return;
  counts_.expired++;
  endSession(id);
  for (Server& server : servers_) {
    auto link = server.links.find(session->second.link);
    if (link == server.links.end() || !server.follows()) continue;
    auto keep = kj::addRef(*link->second);
    breakLink(*keep);
  }
}

void SimZooKeeper::endSession(int64_t id) {
  sessions_.at(id).ended = true;
  std::vector<failover::Op> ops;
  for (const std::string& path : truth_.ephemeralsOf(id)) ops.push_back(failover::removeOp(path));
  std::vector<TreeChange> changes;
  auto removed = truth_.execute(ops, id, zxid_ + 1, changes);
  KJ_ASSERT(removed.code == ZkCode::OK, "an ephemeral could not be removed");
  commit(kj::mv(changes));
}

std::vector<int64_t> SimZooKeeper::liveSessions() const {
  std::vector<int64_t> live;
  for (const auto& [id, session] : sessions_) {
    if (!session.ended) live.push_back(id);
  }
  return live;
}

// ---- the service

namespace {

class SimCoordinationService final : public failover::CoordinationService {
 public:
  SimCoordinationService(SimZooKeeper& ensemble, Host& host) : ensemble_(ensemble), host_(host) {}
  kj::Own<failover::CoordinationSession> open() override {
    return kj::heap<SimSession>(ensemble_, host_);
  }

 private:
  SimZooKeeper& ensemble_;
  Host& host_;
};

}  // namespace

kj::Own<failover::CoordinationService> SimZooKeeper::service(Host& host) {
  return kj::heap<SimCoordinationService>(*this, host);
}

}  // namespace muster::sim
