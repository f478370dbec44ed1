#include "tests/sim/sim_network.h"

#include "base/message_stream.h"

#include <capnp/serialize.h>
#include <kj/debug.h>

#include <algorithm>
#include <deque>

namespace muster::sim {
namespace {

constexpr Duration HEARING_GAP = 150_ms;  // a heartbeat each 100 ms, one at a time

kj::Exception brokenBecause(const char* why) { return KJ_EXCEPTION(DISCONNECTED, why); }

}  // namespace

// One connection with its two ends. It outlives both of their streams, as bytes under way outlive
// sockets.
class Conn final : public kj::Refcounted {
 public:
  Conn(SimNetwork& network, Host& dialer, Host& listener)
      : network_(network), id_(network.nextId_++) {
    ends_[0].host = &dialer;
    ends_[1].host = &listener;
    for (auto& end : ends_) end.boot = end.host->boot();
    network_.conns_.emplace(id_, this);
  }
  ~Conn() noexcept(false) { network_.conns_.erase(id_); }

  bool joins(const Host& a, const Host& b) const {
    return (ends_[0].host == &a && ends_[1].host == &b) ||
           (ends_[0].host == &b && ends_[1].host == &a);
  }

  // ---- used by a stream, inside its host

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> read(int side, capnp::ReaderOptions options) {
    End& end = ends_[side];
    if (!end.arrived.empty()) {
      auto words = kj::mv(end.arrived.front());
      end.arrived.pop_front();
      auto bytes = words.asPtr();
      kj::Own<capnp::MessageReader> reader =
          kj::heap<capnp::FlatArrayMessageReader>(bytes, options).attach(kj::mv(words));
      return kj::Maybe<capnp::MessageReaderAndFds>(
          capnp::MessageReaderAndFds{kj::mv(reader), nullptr});
    }
    if (end.broken) return brokenBecause("connection reset");
    if (end.ended) return kj::Maybe<capnp::MessageReaderAndFds>();
    auto wait = kj::newPromiseAndFulfiller<void>();
    end.reader = kj::mv(wait.fulfiller);
    return wait.promise.then([this, side, options] { return read(side, options); });
  }

  void write(int side, kj::Array<capnp::word> words) {
    if (ends_[side].broken) kj::throwFatalException(brokenBecause("connection reset"));
    send(side, {kj::mv(words), false});
  }

  void finish(int side) {
    if (ends_[side].finished) return;
    ends_[side].finished = true;
    send(side, {nullptr, true});
  }

  void closed(int side) {
    End& end = ends_[side];
    end.open = false;
    end.reader = nullptr;
    end.arrived.clear();
    if (!end.host->isSilent()) finish(side);
  }

  // ---- used by the network

  void breakBoth() {
    for (int side : {0, 1}) breakSoon(side);
  }
  void flushHeld() {
    for (int side : {0, 1}) {
      auto held = std::exchange(ends_[side].held, {});
      for (auto& message : held) send(side, kj::mv(message));  // held again where still cut
    }
  }

 private:
  struct Message {
    kj::Array<capnp::word> words;
    bool end = false;
  };
  struct End {
    Host* host = nullptr;
    uint32_t boot = 0;
    bool open = true;       // its stream exists
    bool finished = false;  // it said that nothing more will come from it
    bool ended = false;     // it heard that from the other
    bool broken = false;
    std::deque<kj::Array<capnp::word>> arrived;
    kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> reader;
    std::deque<Message> held;  // sent by this end while the two are cut off
    SteadyTime last;           // when the newest message of this end arrives
  };

  void send(int side, Message message) {
    End& from = ends_[side];
    End& to = ends_[1 - side];
    if (to.host->isUp() && (to.boot != to.host->boot() || !to.open)) {
      // Nobody has this connection there any more: the other kernel says so.
      if (!network_.isCut(from.host->number(), to.host->number())) breakSoon(side);
      return;
    }
    if (network_.isCut(from.host->number(), to.host->number())) {
      from.held.push_back(kj::mv(message));
    } else {
      schedule(side, kj::mv(message));
    }
  }

  void schedule(int side, Message message) {
    End& from = ends_[side];
    World& world = network_.world();
    from.last = std::max(SteadyTime{from.last.nanos + 1}, world.now() + network_.delay());
    Host& to = *ends_[1 - side].host;
    if (to.boot() != ends_[1 - side].boot) return;
    world.mix(message.words.size());
    world.at(from.last, to, [self = kj::addRef(*this), side, message = kj::mv(message)]() mutable {
      self->deliver(1 - side, kj::mv(message));
    });
  }

  void deliver(int side, Message message) {
    End& end = ends_[side];
    if (!end.open || end.broken) return;
    if (side == 0) network_.noteHeard(*ends_[0].host, *ends_[1].host);
    if (message.end) {
      end.ended = true;
    } else {
      end.arrived.push_back(kj::mv(message.words));
    }
    wake(end);
  }

  void breakSoon(int side) {
    Host& host = *ends_[side].host;
    if (!host.isUp() || host.boot() != ends_[side].boot) return;
    World& world = network_.world();
    world.at(world.now() + network_.delay(), host, [self = kj::addRef(*this), side]() mutable {
      self->ends_[side].broken = true;
      self->wake(self->ends_[side]);
    });
  }

  static void wake(End& end) {
    auto reader = kj::mv(end.reader);
    end.reader = nullptr;
    KJ_IF_MAYBE (waiting, reader) {
      (*waiting)->fulfill();
    }
  }

  SimNetwork& network_;
  uint64_t id_;
  End ends_[2];
};

namespace {

class SimStream final : public MessageStreamBase {
 public:
  SimStream(kj::Own<Conn> conn, int side) : conn_(kj::mv(conn)), side_(side) {}
  ~SimStream() noexcept(false) { conn_->closed(side_); }

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word>) override {
    return conn_->read(side_, options);
  }
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int>,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    return write([&] { conn_->write(side_, capnp::messageToFlatArray(segments)); });
  }
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    return write([&] {
      for (auto& segments : messages) conn_->write(side_, capnp::messageToFlatArray(segments));
    });
  }
  kj::Maybe<int> getSendBufferSize() override { return nullptr; }
  kj::Promise<void> end() override {
    conn_->finish(side_);
    return kj::READY_NOW;
  }

 private:
  template <class Action>
  kj::Promise<void> write(Action action) {
    KJ_IF_MAYBE (why, kj::runCatchingExceptions(action)) return kj::mv(*why);
    return kj::READY_NOW;
  }

  kj::Own<Conn> conn_;
  int side_;
};

}  // namespace

class SimListener final : public Listener {
 public:
  SimListener(SimNetwork& network, Host& host, PeerIdentity identity, std::string address,
              kj::Function<void(kj::Own<Connection>)> accept)
      : network_(network), address_(std::move(address)), accept_(kj::mv(accept)) {
    KJ_REQUIRE(!network_.listening_.contains(address_), "the address is taken", address_.c_str());
    network_.listening_.emplace(
        address_, SimNetwork::Listening{&host, std::move(identity), &accept_, network_.nextId_++});
    network_.hostOf_[address_] = &host;
  }
  ~SimListener() noexcept(false) { network_.listening_.erase(address_); }
  std::string address() const override { return address_; }

 private:
  SimNetwork& network_;
  std::string address_;
  kj::Function<void(kj::Own<Connection>)> accept_;
};

class SimTransport final : public Transport {
 public:
  SimTransport(SimNetwork& network, Host& host, PeerIdentity identity)
      : network_(network), host_(host), identity_(std::move(identity)) {}

  kj::Promise<kj::Own<Connection>> connect(std::string address, Role expectedRole) override {
    auto made = kj::newPromiseAndFulfiller<kj::Own<Connection>>();
    auto dial = kj::heap<SimNetwork::Dial>();
    dial->network = &network_;
    dial->from = &host_;
    dial->boot = host_.boot();
    dial->identity = identity_;
    dial->address = std::move(address);
    dial->expectedRole = expectedRole;
    dial->fulfiller = kj::mv(made.fulfiller);
    network_.dial(kj::mv(dial));
    return kj::mv(made.promise);
  }
  kj::Promise<kj::Own<Listener>> listen(std::string address,
                                        kj::Function<void(kj::Own<Connection>)> accept) override {
    kj::Own<Listener> listener =
        kj::heap<SimListener>(network_, host_, identity_, std::move(address), kj::mv(accept));
    return kj::mv(listener);
  }

 private:
  SimNetwork& network_;
  Host& host_;
  PeerIdentity identity_;
};

kj::Own<Transport> SimNetwork::transport(Host& host, PeerIdentity identity) {
  return kj::heap<SimTransport>(*this, host, std::move(identity));
}

Duration SimNetwork::delay() {
  auto spread = static_cast<uint64_t>((knobs.delayMax - knobs.delayMin).nanos) + 1;
  Duration delay = knobs.delayMin + Duration{static_cast<int64_t>(random_.below(spread))};
  if (random_.below(1'000'000) >= knobs.slowPpm) return delay;
  auto more = random_.below(static_cast<uint64_t>(knobs.slowMax.nanos) + 1);
  return delay + Duration{static_cast<int64_t>(more)};
}

void SimNetwork::noteHeard(const Host& dialer, const Host& listener) {
  SteadyTime now = world_.now();
  Hearing& hearing = hearings_[{dialer.number(), listener.number()}];
  if (now - hearing.last > HEARING_GAP) hearing.since = now;
  hearing.last = now;
}

bool SimNetwork::hearsSteadily(const Host& dialer, const Host& listener, Duration duration) const {
  auto found = hearings_.find({dialer.number(), listener.number()});
  if (found == hearings_.end()) return false;
  SteadyTime now = world_.now();
  return now - found->second.last <= HEARING_GAP && now - found->second.since >= duration;
}

void SimNetwork::heal(uint64_t a, uint64_t b) {
  healOneWay(a, b);
  healOneWay(b, a);
}

void SimNetwork::healOneWay(uint64_t from, uint64_t to) {
  auto found = cuts_.find({from, to});
  if (found == cuts_.end()) return;
  if (--found->second > 0) return;
  cuts_.erase(found);
  // What was held goes now. Connections of this pair only; by id, so in the order they were made.
  std::vector<kj::Own<Conn>> all;
  for (auto& [id, conn] : conns_) all.push_back(kj::addRef(*conn));
  for (auto& conn : all) conn->flushHeld();
  auto dials = std::exchange(heldDials_, {});
  for (auto& held : dials) dial(kj::mv(held));
  for (auto& handler : healHandlers_) handler();
}

void SimNetwork::reset(const Host& a, const Host& b) {
  std::vector<kj::Own<Conn>> all;
  for (auto& [id, conn] : conns_) {
    if (conn->joins(a, b)) all.push_back(kj::addRef(*conn));
  }
  for (auto& conn : all) conn->breakBoth();
}

void SimNetwork::dial(kj::Own<Dial> dial) {
  auto known = hostOf_.find(dial->address);
  if (known != hostOf_.end() && isApart(dial->from->number(), known->second->number())) {
    heldDials_.push_back(kj::mv(dial));
    return;
  }
  SteadyTime when = world_.now() + this->delay() + this->delay();
  if (known == hostOf_.end() || !known->second->isUp()) {
    return;  // refused
  }
  // In the target's host, so that a frozen one answers when it is thawed.
  world_.at(when, *known->second, [this, dial = kj::mv(dial)]() mutable { arrive(kj::mv(dial)); });
}

void SimNetwork::arrive(kj::Own<Dial> dial) {
  auto found = listening_.find(dial->address);
  if (found == listening_.end()) {
    return;  // refused
  }
  const Listening& listening = found->second;
  if (listening.identity.role != dial->expectedRole) {
    return refuse(*dial, KJ_EXCEPTION(FAILED, "the peer has another role"));
  }
  auto conn = kj::refcounted<Conn>(*this, *dial->from, *listening.host);
  auto near = kj::heap<Connection>();
  near->stream = kj::heap<SimStream>(kj::addRef(*conn), 0);
  near->peer = listening.identity;
  near->peerAddress = dial->address;
  auto far = kj::heap<Connection>();
  far->stream = kj::heap<SimStream>(kj::mv(conn), 1);
  far->peer = dial->identity;
  far->peerAddress = dial->from->name();
  (*listening.accept)(kj::mv(far));
  answer(kj::mv(dial), kj::mv(near));
}

void SimNetwork::answer(kj::Own<Dial> dial, kj::Own<Connection> connection) {
  Host& host = *dial->from;
  if (!host.isUp() || host.boot() != dial->boot) return;
  world_.at(world_.now() + delay(), host,
            [dial = kj::mv(dial), connection = kj::mv(connection)]() mutable {
              KJ_IF_MAYBE (fulfiller, dial->fulfiller) (*fulfiller)->fulfill(kj::mv(connection));
              dial->fulfiller = nullptr;
            });
}

void SimNetwork::refuse(Dial& dial, kj::Exception why) {
  auto fulfiller = kj::mv(dial.fulfiller);
  dial.fulfiller = nullptr;
  Host& host = *dial.from;
  if (fulfiller == nullptr || !host.isUp() || host.boot() != dial.boot) return;
  world_.at(world_.now() + delay(), host,
            [fulfiller = kj::mv(fulfiller), why = kj::mv(why)]() mutable {
              KJ_IF_MAYBE (waiting, fulfiller) (*waiting)->reject(kj::mv(why));
            });
}

SimNetwork::Dial::~Dial() noexcept(false) {
  network->refuse(*this, brokenBecause("connection refused"));
}

}  // namespace muster::sim
