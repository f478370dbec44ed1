#include "tests/sim/sim_session.h"

#include "base/kj_time.h"
#include "failover/op_watchdog.h"

#include <kj/debug.h>

#include <utility>

namespace muster::sim {

using failover::SessionState;
using failover::ZkCode;

SimSession::SimSession(SimZooKeeper& ensemble, Host& host)
    : ensemble_(ensemble), host_(host), tasks_("simulated session") {
  tasks_.add(run());
}

SimSession::~SimSession() noexcept(false) {
  KJ_IF_MAYBE (link, link_) {
    bool orderly = !host_.isDying() && state_ == SessionState::CONNECTED;
    if (orderly) ensemble_.send(**link, CoordinationRequest{nextRequest_, RequestKind::CLOSE});
    ensemble_.hangUp(**link);
  }
}

// ---- calls

kj::Promise<CoordinationReply> SimSession::ask(RequestKind kind, std::string path,
                                               std::vector<failover::Op> ops) {
  Pending pending;
  auto made = kj::newPromiseAndFulfiller<CoordinationReply>();
  pending.request.id = nextRequest_++;
  pending.request.kind = kind;
  pending.request.path = std::move(path);
  pending.request.ops = std::move(ops);
  pending.fulfiller = kj::mv(made.fulfiller);
  if (state_ == SessionState::ENDED) {
    fail(pending, ZkCode::SESSION_ENDED);
  } else {
    pending_.push_back(kj::mv(pending));
    sendPending();
    if (ensemble_.knobs.loneWritesHang) nudgeLater(nextRequest_ - 1);
  }
  return kj::mv(made.promise);
}

// The client's watchdog: an old request may hang until another one comes.
void SimSession::nudgeLater(uint64_t id) {
  tasks_.add(host_.timer().afterDelay(toKj(failover::WATCHDOG_REPEAT)).then([this, id] {
    bool isOver = state_ != SessionState::CONNECTED || newsUnderWay_ || pending_.empty() ||
                  pending_.front().request.id > id;
    if (isOver) return;
    CoordinationRequest nudge;
    nudge.kind = RequestKind::NUDGE;
    ensemble_.send(*KJ_ASSERT_NONNULL(link_), kj::mv(nudge));
  }));
}

void SimSession::sendPending() {
  if (state_ != SessionState::CONNECTED) return;
  if (newsUnderWay_) {  // kept for the next connection, as the C client does
    ensemble_.counts_.queued++;
    return;
  }
  for (Pending& pending : pending_) {
    if (std::exchange(pending.sent, true)) continue;
    ensemble_.send(*KJ_ASSERT_NONNULL(link_), pending.request);
  }
}

kj::Promise<failover::MultiResult> SimSession::multi(std::vector<failover::Op> ops) {
  uint64_t bytes = 0;
  for (const auto& op : ops) bytes += op.path.size() + op.data.size();
  KJ_REQUIRE(bytes <= failover::REQUEST_BYTES_MAX, "a request is too large", bytes);
  return ask(RequestKind::MULTI, "", std::move(ops)).then([](CoordinationReply reply) {
    reply.multi.code = reply.code;
    return kj::mv(reply.multi);
  });
}

kj::Promise<failover::GetResult> SimSession::get(std::string path) {
  return ask(RequestKind::GET, std::move(path), {}).then([](CoordinationReply reply) {
    return failover::GetResult{reply.code, std::move(reply.data), reply.stat};
  });
}

kj::Promise<failover::ListResult> SimSession::list(std::string path) {
  return ask(RequestKind::LIST, std::move(path), {}).then([](CoordinationReply reply) {
    return failover::ListResult{reply.code, std::move(reply.children)};
  });
}

kj::Promise<failover::WatchResult> SimSession::watch(std::string path) {
  return ask(RequestKind::WATCH, std::move(path), {}).then([](CoordinationReply reply) {
    return failover::WatchResult{reply.code, reply.stat, kj::mv(reply.changed)};
  });
}

kj::Promise<void> SimSession::stateChanged() {
  auto made = kj::newPromiseAndFulfiller<void>();
  stateWaiters_.push_back(kj::mv(made.fulfiller));
  return kj::mv(made.promise);
}

failover::SessionHealth SimSession::health() const {
  failover::SessionHealth health;
  health.timeoutAsked = ensemble_.knobs.sessionTimeout;
  health.timeoutGranted = ensemble_.knobs.sessionTimeout;
  health.reconnects = connects_ > 0 ? connects_ - 1 : 0;
  health.watches = watches_.size();
  return health;
}

void SimSession::close() {
  if (state_ == SessionState::ENDED) return;
  if (state_ == SessionState::CONNECTING) return end();  // its time runs out at the servers
  tasks_.add(ask(RequestKind::CLOSE, "", {}).then([this](CoordinationReply) { end(); }));
}

// ---- what the servers say

void SimSession::connected(int64_t session, Duration) {
  if (state_ != SessionState::CONNECTING) return;
  id_ = session;
  connects_++;
  heard();
  enter(SessionState::CONNECTED);
  sendPending();
  wake();
}

void SimSession::expired() { end(); }

void SimSession::broken() {
  if (ensemble_.knobs.lateNews && state_ == SessionState::CONNECTED) return loseLinkLate();
  loseLink();
  wake();
}

// The client's own thread has seen the end of the connection; the callbacks that say so are still
// on their way to us.
void SimSession::loseLinkLate() {
  if (std::exchange(newsUnderWay_, true)) return;
  auto late = host_.random().below(20'000'000);
  tasks_.add(host_.timer().afterDelay(late * kj::NANOSECONDS).then([this] {
    loseLink();
    wake();
  }));
}

void SimSession::heard() { lastHeard_ = host_.steadyNow(); }

void SimSession::fired(const std::string& path) {
  lastHeard_ = host_.steadyNow();
  auto found = watches_.find(path);
  if (found == watches_.end()) return;
  auto waiters = std::move(found->second);
  watches_.erase(found);
  for (auto& waiter : waiters) waiter->fulfill();
}

void SimSession::answered(CoordinationReply reply) {
  lastHeard_ = host_.steadyNow();
  KJ_ASSERT(!pending_.empty() && pending_.front().request.id == reply.id,
            "a session's requests are answered in order", reply.id);
  Pending pending = kj::mv(pending_.front());
  pending_.pop_front();
  zxidSeen_ = std::max(zxidSeen_, reply.zxid);
  if (reply.kind == RequestKind::WATCH) {
    // Here and not in a continuation: the event may be the very next message.
    auto made = kj::newPromiseAndFulfiller<void>();
    watches_[pending.request.path].push_back(kj::mv(made.fulfiller));
    reply.changed = kj::mv(made.promise);
  }
  pending.fulfiller->fulfill(kj::mv(reply));
}

// ---- the connection

Co<void> SimSession::run() {
  Duration timeout = ensemble_.knobs.sessionTimeout;
  while (state_ != SessionState::ENDED) {
    if (state_ == SessionState::CONNECTING) {
      co_await tryToConnect();
      continue;
    }
    auto made = kj::newPromiseAndFulfiller<void>();
    waiting_ = kj::mv(made.fulfiller);
    auto due = host_.timer().afterDelay(toKj(timeout / 3));
    co_await made.promise.exclusiveJoin(kj::mv(due));
    if (state_ != SessionState::CONNECTED) continue;
    if (host_.steadyNow() - lastHeard_ > timeout * 2 / 3) {
      loseLink();
    } else if (!newsUnderWay_) {
      KJ_IF_MAYBE (link, link_) ensemble_.send(**link, CoordinationRequest{});
    }
  }
}

// One try with one server, and a pause when it came to nothing.
Co<void> SimSession::tryToConnect() {
  size_t server = host_.random().below(SimZooKeeper::SERVERS);
  auto link = kj::refcounted<Link>(host_, *this, server, ensemble_.nextLink_++);
  auto made = kj::newPromiseAndFulfiller<void>();
  waiting_ = kj::mv(made.fulfiller);
  ensemble_.dial(kj::addRef(*link), id_, zxidSeen_);
  link_ = kj::mv(link);
  auto late = host_.timer().afterDelay(toKj(ensemble_.knobs.sessionTimeout / 3));
  co_await made.promise.exclusiveJoin(kj::mv(late));
  if (state_ != SessionState::CONNECTING) co_return;
  loseLink();
  auto pause = 5'000'000 + host_.random().below(30'000'000);
  co_await host_.timer().afterDelay(pause * kj::NANOSECONDS);
}

// What was sent may have happened or may yet happen; what was not sent waits for the next
// connection.
void SimSession::loseLink() {
  newsUnderWay_ = false;
  KJ_IF_MAYBE (link, link_) ensemble_.hangUp(**link);
  link_ = nullptr;
  if (state_ == SessionState::ENDED) return;
  enter(SessionState::CONNECTING);
  while (!pending_.empty() && pending_.front().sent) {
    fail(pending_.front(), ZkCode::CONNECTION_LOSS);
    pending_.pop_front();
  }
  for (auto& [path, waiters] : std::exchange(watches_, {})) {
    for (auto& waiter : waiters) waiter->fulfill();
  }
}

void SimSession::fail(Pending& pending, ZkCode code) {
  CoordinationReply reply;
  reply.kind = pending.request.kind;
  reply.code = code;
  pending.fulfiller->fulfill(kj::mv(reply));
}

void SimSession::enter(SessionState state) {
  if (state_ == state) return;
  state_ = state;
  for (auto& waiter : std::exchange(stateWaiters_, {})) waiter->fulfill();
}

void SimSession::end() {
  if (state_ == SessionState::ENDED) return;
  KJ_IF_MAYBE (link, link_) ensemble_.hangUp(**link);
  link_ = nullptr;
  enter(SessionState::ENDED);
  for (Pending& pending : pending_) fail(pending, ZkCode::SESSION_ENDED);
  pending_.clear();
  for (auto& [path, waiters] : std::exchange(watches_, {})) {
    for (auto& waiter : waiters) waiter->reject(KJ_EXCEPTION(DISCONNECTED, "the session ended"));
  }
  wake();
}

void SimSession::wake() {
  KJ_IF_MAYBE (waiting, waiting_) {
    (*waiting)->fulfill();
  }
  waiting_ = nullptr;
}

}  // namespace muster::sim
