// The network between simulated hosts: message streams with delay, first in first out per
// direction, held back by partitions as TCP holds bytes back, broken by resets. Cap'n Proto's real
// RPC runs over it.
#pragma once

#include "base/transport.h"
#include "tests/sim/world.h"

#include <kj/memory.h>
#include <kj/refcount.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace muster::sim {

// Delays of one way, per message.
struct NetworkKnobs {
  Duration delayMin{100'000};
  Duration delayMax{900'000};
  uint32_t slowPpm = 2'000;  // of the messages take up to `slowMax` more
  Duration slowMax = 100_ms;
};

class Conn;

class SimNetwork {
 public:
  explicit SimNetwork(World& world) : world_(world), random_(world.fork("network")) {}
  KJ_DISALLOW_COPY(SimNetwork);

  NetworkKnobs knobs;

  // What a process on `host` dials and listens with; its identity is what a certificate would
  // prove.
  kj::Own<Transport> transport(Host& host, PeerIdentity identity);

  // Nothing passes between the two, either way, until healed; nobody is told. By host number;
  // endpoints that are no hosts (coordination servers) have numbers of their own. Cuts are counted:
  // overlapping faults each heal their own.
  void cut(uint64_t a, uint64_t b) {
    cutOneWay(a, b);
    cutOneWay(b, a);
  }
  void cutOneWay(uint64_t from, uint64_t to) { cuts_[{from, to}]++; }
  void heal(uint64_t a, uint64_t b);
  void healOneWay(uint64_t from, uint64_t to);
  // Whether nothing passes from the one to the other.
  bool isCut(uint64_t from, uint64_t to) const { return cuts_.contains({from, to}); }
  // Called after a heal, for those who held something back.
  void onHeal(std::function<void()> handler) { healHandlers_.push_back(kj::mv(handler)); }

  // Whether `dialer` has heard `listener` on a connection it made, again and again without a gap,
  // for at least `duration` until now.
  bool hearsSteadily(const Host& dialer, const Host& listener, Duration duration) const;

  // Breaks every connection between the two hosts.
  void reset(const Host& a, const Host& b);
  Duration delay();
  size_t connectionCount() const { return conns_.size(); }

  World& world() { return world_; }

 private:
  friend class Conn;
  friend class SimTransport;
  friend class SimListener;
  struct Listening {
    Host* host;
    PeerIdentity identity;
    kj::Function<void(kj::Own<Connection>)>* accept;
    uint64_t id;
  };
  // Whoever dials hears of it, also when what was dialled dies meanwhile.
  struct Dial {
    ~Dial() noexcept(false);
    SimNetwork* network;
    Host* from;
    uint32_t boot;
    PeerIdentity identity;
    std::string address;
    Role expectedRole;
    kj::Maybe<kj::Own<kj::PromiseFulfiller<kj::Own<Connection>>>> fulfiller;
  };
  // No connection is made where either way is cut.
  bool isApart(uint64_t a, uint64_t b) const { return isCut(a, b) || isCut(b, a); }
  void noteHeard(const Host& dialer, const Host& listener);
  void dial(kj::Own<Dial> dial);
  void arrive(kj::Own<Dial> dial);
  void answer(kj::Own<Dial> dial, kj::Own<Connection> connection);
  void refuse(Dial& dial, kj::Exception why);

  World& world_;
  SeededRandom random_;
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> cuts_;  // from, to
  std::map<std::string, Listening> listening_;
  std::map<std::string, Host*> hostOf_;  // of an address that was ever listened on
  struct Hearing {
    SteadyTime since, last;
  };
  std::map<uint64_t, Conn*> conns_;
  std::map<std::pair<uint64_t, uint64_t>, Hearing> hearings_;  // by dialer and listener
  std::vector<kj::Own<Dial>> heldDials_;
  std::vector<std::function<void()>> healHandlers_;
  uint64_t nextId_ = 1;
};

}  // namespace muster::sim
