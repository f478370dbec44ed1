// The only file that names ZooKeeper's C API. One session object owns one handle of the
// single-threaded library and drives it from a descriptor watcher and a timer; the library calls
// back only from inside our own calls, on the loop.
// Long because no other file may know that API.
//
// What it must get right (each was seen to fail):
// - The watcher is stopped before, and armed anew after, every zookeeper_process() and
//   zookeeper_interest(): they close and reopen the socket, often with the same number.
// - One call of zookeeper_process() handles one packet.
// - A lone write can hang on an ensemble of 3.8.0 until another request comes: the watchdog sends
//   one.
// - zookeeper_close() waits up to 1.5 s for a stopped server. So the close request is written by us
//   at a packet boundary, the end of the connection is awaited on the loop, and the socket is shut
//   down before zookeeper_close(), which then finds nobody to wait for. After that request the
//   library must read no more: it asserts on an answer it did not ask.
#include "failover/zookeeper.h"

#include "base/clock.h"
#include "failover/op_watchdog.h"
#include "failover/server_list.h"
#include "failover/watch_table.h"

#include <kj/debug.h>
#include <zookeeper/zookeeper.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <errno.h>
#include <map>
#include <sys/socket.h>
#include <utility>

namespace muster::failover {
namespace {

constexpr int PACKETS_PER_TURN = 64;
constexpr Duration CLOSE_DRAIN_MAX =
    500_ms;  // for answers still outstanding when close() is called
constexpr Duration CLOSE_ANSWER_MAX = 500_ms;  // for the server to hang up

ZkCode codeOf(int rc) {
  switch (rc) {
    case ZOK:
      return ZkCode::OK;
    case ZNODEEXISTS:
      return ZkCode::NODE_EXISTS;
    case ZNONODE:
      return ZkCode::NO_NODE;
    case ZBADVERSION:
      return ZkCode::BAD_VERSION;
    case ZNOTEMPTY:
      return ZkCode::NOT_EMPTY;
    case ZNOAUTH:
      return ZkCode::NO_AUTH;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONMOVED:
      return ZkCode::CONNECTION_LOSS;
    case ZSESSIONEXPIRED:
    case ZCLOSING:
    case ZINVALIDSTATE:
    case ZAUTHFAILED:
      return ZkCode::SESSION_ENDED;
    case ZRUNTIMEINCONSISTENCY:
      return ZkCode::NOT_REACHED;
    default:
      return ZkCode::OTHER;
  }
}

Stat statOf(const ::Stat& stat) { return {stat.version, stat.ephemeralOwner, stat.czxid}; }

int createMode(CreateMode mode) {
  switch (mode) {
    case CreateMode::PERSISTENT:
      return ZOO_PERSISTENT;
    case CreateMode::EPHEMERAL:
      return ZOO_EPHEMERAL;
    case CreateMode::EPHEMERAL_SEQUENTIAL:
      return ZOO_EPHEMERAL_SEQUENTIAL;
  }
  KJ_UNREACHABLE;
}

template <class Result>
Result ended() {
  Result result;
  result.code = ZkCode::SESSION_ENDED;
  return result;
}

class ZookeeperSession;

// One request under way. The library holds its address and calls back exactly once, at the latest
// from zookeeper_close(); the number tags it within the session, so that no answer of an older
// attempt is taken for it.
struct Call {
  Call(ZookeeperSession& session, uint64_t number, SteadyTime sent)
      : session(session), number(number), sent(sent) {}
  virtual ~Call() noexcept(false) = default;
  ZookeeperSession& session;
  uint64_t number;
  SteadyTime sent;
};

using PathBuffer = std::array<char, 256>;  // of a created node's real name

struct MultiCall final : Call {
  using Call::Call;
  std::vector<OpKind> kinds;
  std::vector<zoo_op_result_t>
      results;  // these three are filled by the library before it calls back
  std::vector<::Stat> stats;
  std::vector<PathBuffer> paths;
  kj::Own<kj::PromiseFulfiller<MultiResult>> answer;
};
struct GetCall final : Call {
  using Call::Call;
  kj::Own<kj::PromiseFulfiller<GetResult>> answer;
};
struct ListCall final : Call {
  using Call::Call;
  kj::Own<kj::PromiseFulfiller<ListResult>> answer;
};
struct WatchCall final : Call {
  using Call::Call;
  std::string path;
  kj::Own<kj::PromiseFulfiller<WatchResult>> answer;
};

class ZookeeperSession final : public CoordinationSession {
 public:
  ZookeeperSession(EventLoop& loop, const ZookeeperOptions& options);
  ~ZookeeperSession() noexcept(false) override;

  kj::Promise<MultiResult> multi(std::vector<Op> ops) override;
  kj::Promise<GetResult> get(std::string path) override;
  kj::Promise<ListResult> list(std::string path) override;
  kj::Promise<WatchResult> watch(std::string path) override;
  int64_t sessionId() const override { return sessionId_; }
  SessionState state() const override { return state_; }
  kj::Promise<void> stateChanged() override;
  SessionHealth health() const override;
  void close() override;

 private:
  bool open() const { return handle_ != nullptr && closing_ == Closing::NO; }
  template <class C>
  C& newCall();
  template <class C>
  static kj::Own<Call> take(C& call);
  static void prepare(const Op& op, zoo_op_t& raw, ::Stat& stat, PathBuffer& path);
  void afterSend();
  void pump(int events);
  void arm();
  void moveTo(SessionState state);
  void followState();
  void onWatchdog();
  void startWatchdog();
  void advanceClose();
  bool sendCloseRequest();
  void onCloseReadable();
  void closeHandle();
  void finish();
  WatchResult answerWatch(const std::string& path, int rc, const ::Stat* stat);

  static void onNodeEvent(zhandle_t* handle, int type, int state, const char* path, void* context);
  static void onMulti(int rc, const void* data);
  static void onGet(int rc, const char* value, int size, const ::Stat* stat, const void* data);
  static void onList(int rc, const String_vector* names, const void* data);
  static void onExists(int rc, const ::Stat* stat, const void* data);

  Duration timeoutAsked_;
  SystemClock clock_;
  zhandle_t* handle_ = nullptr;  // closed by closeHandle()
  int fd_ = -1;                  // as zookeeper_interest() last gave it
  bool wantsWrite_ = false;      // the library holds bytes that are not sent yet
  bool inPump_ = false;
  enum class Closing { NO, DRAINING, ASKED } closing_ = Closing::NO;
  SteadyTime closeDeadline_;

  SessionState state_ = SessionState::CONNECTING;
  int64_t sessionId_ = 0;
  Duration timeoutGranted_;
  uint64_t connects_ = 0;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> stateWaiters_;

  uint64_t nextNumber_ = 1;
  std::map<uint64_t, kj::Own<Call>> calls_;  // by number, so the oldest comes first
  WatchTable watches_;

  RunningMedian latency_;
  uint64_t watchdogKicks_ = 0;
  bool watchdogRuns_ = false;

  kj::Own<FdWatcher> watcher_;
  kj::Own<OneShotTimer> timer_;
  kj::Own<OneShotTimer> watchdog_;
};

ZookeeperSession::ZookeeperSession(EventLoop& loop, const ZookeeperOptions& options)
    : timeoutAsked_(options.sessionTimeout) {
  watcher_ = loop.newFdWatcher([this](FdEvents events) {
    if (closing_ == Closing::ASKED) return onCloseReadable();
    pump((events.readable ? ZOOKEEPER_READ : 0) | (events.writable ? ZOOKEEPER_WRITE : 0));
  });
  timer_ = loop.newOneShotTimer([this] {
    if (closing_ == Closing::ASKED) return finish();
    pump(0);
  });
  watchdog_ = loop.newOneShotTimer([this] { onWatchdog(); });

  auto ignoreEvent = [](zhandle_t*, int, int, const char*, void*) {};  // see followState()
  std::string hosts;
  for (const std::string& server : options.servers) hosts += (hosts.empty() ? "" : ",") + server;
  zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
  handle_ = zookeeper_init2(hosts.c_str(), ignoreEvent, static_cast<int>(timeoutAsked_.millis()),
                            nullptr, this, 0,
                            [](const char* message) { KJ_LOG(INFO, "zookeeper client", message); });
  KJ_REQUIRE(handle_ != nullptr, "ZooKeeper client did not start", hosts.c_str(), strerror(errno));
  zoo_set_servers_resolution_delay(handle_, -1);  // addresses do not change their numbers
  auto ignoreAnswer = [](int, const void*) {
  };  // a wrong password is answered OK; access fails instead
  zoo_add_auth(handle_, "digest", options.digest.data(), static_cast<int>(options.digest.size()),
               ignoreAnswer, nullptr);
  arm();
}

ZookeeperSession::~ZookeeperSession() noexcept(false) {
  if (handle_ != nullptr && state_ == SessionState::CONNECTED && closing_ != Closing::ASKED)
    sendCloseRequest();
  closeHandle();
}

// ---- requests

template <class C>
C& ZookeeperSession::newCall() {
  uint64_t number = nextNumber_++;
  auto call = kj::heap<C>(*this, number, clock_.steadyNow());
  C& borrowed = *call;
  calls_.emplace(number, kj::mv(call));
  return borrowed;
}

// Takes the call out of the table; it lives until the returned owner goes.
template <class C>
kj::Own<Call> ZookeeperSession::take(C& call) {
  auto entry = call.session.calls_.find(call.number);
  kj::Own<Call> owned = kj::mv(entry->second);
  call.session.calls_.erase(entry);
  call.session.latency_.add(call.session.clock_.steadyNow() - call.sent);
  return owned;
}

template <class C>
C& callOf(const void* data) {
  return *static_cast<C*>(
      const_cast<void*>(data));  // the C interface hands back our own address as const
}

kj::Promise<MultiResult> ZookeeperSession::multi(std::vector<Op> ops) {
  uint64_t bytes = 0;
  for (const Op& op : ops) bytes += op.path.size() + op.data.size();
  if (bytes > REQUEST_BYTES_MAX) {
    return KJ_EXCEPTION(FAILED, "a request to ZooKeeper is too large", bytes, REQUEST_BYTES_MAX);
  }
  if (!open()) return ended<MultiResult>();
  auto paf = kj::newPromiseAndFulfiller<MultiResult>();
  MultiCall& call = newCall<MultiCall>();
  call.answer = kj::mv(paf.fulfiller);
  call.results.resize(ops.size());
  call.stats.resize(ops.size());
  call.paths.resize(ops.size());
  std::vector<zoo_op_t> raw(ops.size());
  for (size_t i = 0; i < ops.size(); i++) {
    call.kinds.push_back(ops[i].kind);
    prepare(ops[i], raw[i], call.stats[i], call.paths[i]);
  }
  int rc = zoo_amulti(handle_, static_cast<int>(raw.size()), raw.data(), call.results.data(),
                      onMulti, &call);
  if (rc != ZOK) onMulti(rc, &call);
  afterSend();
  return kj::mv(paf.promise);
}

void ZookeeperSession::prepare(const Op& op, zoo_op_t& raw, ::Stat& stat, PathBuffer& path) {
  const char* name = op.path.c_str();
  auto size = static_cast<int>(op.data.size());
  switch (op.kind) {
    case OpKind::CREATE:
      zoo_create_op_init(&raw, name, op.data.data(), size, &ZOO_CREATOR_ALL_ACL,
                         createMode(op.mode), path.data(), static_cast<int>(path.size()));
      return;
    case OpKind::SET:
      zoo_set_op_init(&raw, name, op.data.data(), size, op.version, &stat);
      return;
    case OpKind::REMOVE:
      zoo_delete_op_init(&raw, name, op.version);
      return;
    case OpKind::CHECK:
      zoo_check_op_init(&raw, name, op.version);
      return;
  }
}

void ZookeeperSession::onMulti(int rc, const void* data) {
  MultiCall& call = callOf<MultiCall>(data);
  auto owned = take(call);
  MultiResult result;
  result.code = codeOf(rc);
  bool answered = result.code != ZkCode::CONNECTION_LOSS && result.code != ZkCode::SESSION_ENDED;
  for (size_t i = 0; answered && i < call.results.size(); i++) {
    OpResult op;
    op.code = codeOf(call.results[i].err);
    if (rc == ZOK && call.kinds[i] == OpKind::CREATE) op.path = call.paths[i].data();
    if (rc == ZOK && call.kinds[i] == OpKind::SET) op.version = call.stats[i].version;
    result.results.push_back(std::move(op));
  }
  call.answer->fulfill(kj::mv(result));
}

kj::Promise<GetResult> ZookeeperSession::get(std::string path) {
  if (!open()) return ended<GetResult>();
  auto paf = kj::newPromiseAndFulfiller<GetResult>();
  GetCall& call = newCall<GetCall>();
  call.answer = kj::mv(paf.fulfiller);
  int rc = zoo_aget(handle_, path.c_str(), 0, onGet, &call);
  if (rc != ZOK) onGet(rc, nullptr, 0, nullptr, &call);
  afterSend();
  return kj::mv(paf.promise);
}

void ZookeeperSession::onGet(int rc, const char* value, int size, const ::Stat* stat,
                             const void* data) {
  GetCall& call = callOf<GetCall>(data);
  auto owned = take(call);
  GetResult result;
  result.code = codeOf(rc);
  if (rc == ZOK && size > 0) result.data.assign(value, static_cast<size_t>(size));
  if (rc == ZOK && stat != nullptr) result.stat = statOf(*stat);
  call.answer->fulfill(kj::mv(result));
}

kj::Promise<ListResult> ZookeeperSession::list(std::string path) {
  if (!open()) return ended<ListResult>();
  auto paf = kj::newPromiseAndFulfiller<ListResult>();
  ListCall& call = newCall<ListCall>();
  call.answer = kj::mv(paf.fulfiller);
  int rc = zoo_aget_children(handle_, path.c_str(), 0, onList, &call);
  if (rc != ZOK) onList(rc, nullptr, &call);
  afterSend();
  return kj::mv(paf.promise);
}

void ZookeeperSession::onList(int rc, const String_vector* names, const void* data) {
  ListCall& call = callOf<ListCall>(data);
  auto owned = take(call);
  ListResult result;
  result.code = codeOf(rc);
  for (int i = 0; rc == ZOK && i < names->count; i++) result.children.emplace_back(names->data[i]);
  std::sort(result.children.begin(), result.children.end());
  call.answer->fulfill(kj::mv(result));
}

// ---- watches

kj::Promise<WatchResult> ZookeeperSession::watch(std::string path) {
  if (!open()) return answerWatch(path, ZCLOSING, nullptr);
  auto paf = kj::newPromiseAndFulfiller<WatchResult>();
  WatchCall& call = newCall<WatchCall>();
  call.path = path;
  call.answer = kj::mv(paf.fulfiller);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a tag, not an address
  auto context = reinterpret_cast<void*>(watches_.asked(path));
  int rc = zoo_awexists(handle_, path.c_str(), onNodeEvent, context, onExists, &call);
  if (rc != ZOK) onExists(rc, nullptr, &call);
  afterSend();
  return kj::mv(paf.promise);
}

void ZookeeperSession::onExists(int rc, const ::Stat* stat, const void* data) {
  WatchCall& call = callOf<WatchCall>(data);
  auto owned = call.session.take(call);
  call.session.watches_.answered(call.path);
  call.answer->fulfill(call.session.answerWatch(call.path, rc, stat));
}

WatchResult ZookeeperSession::answerWatch(const std::string& path, int rc, const ::Stat* stat) {
  WatchResult result;
  result.code = codeOf(rc);
  if (rc == ZOK && stat != nullptr) result.stat = statOf(*stat);
  // After a failure nothing is watched, and `changed` stays ready: look again.
  if (rc == ZOK || rc == ZNONODE) result.changed = watches_.wait(path);
  return result;
}

void ZookeeperSession::onNodeEvent(zhandle_t* handle, int type, int, const char*, void* context) {
  if (type == ZOO_SESSION_EVENT) return;  // followState() finds it out
  auto session = static_cast<ZookeeperSession*>(const_cast<void*>(zoo_get_context(handle)));
  session->watches_.fire(reinterpret_cast<uint64_t>(context));
}

// ---- the connection

void ZookeeperSession::afterSend() {
  startWatchdog();
  if (!inPump_) arm();
}

void ZookeeperSession::pump(int events) {
  if (handle_ == nullptr) return;
  watcher_->stop();
  inPump_ = true;
  int rc = zookeeper_process(handle_, events);
  for (int i = 0; i < PACKETS_PER_TURN && rc == ZOK && (events & ZOOKEEPER_READ) != 0; i++) {
    rc = zookeeper_process(handle_, ZOOKEEPER_READ);
  }
  inPump_ = false;
  if (is_unrecoverable(handle_) == 0) followState();  // arm() may go one state further
  arm();
}

void ZookeeperSession::arm() {
  if (handle_ == nullptr || closing_ == Closing::ASKED) return;
  watcher_->stop();
  int fd = -1;
  int interest = 0;
  timeval wait{};
  inPump_ = true;
  int rc = zookeeper_interest(handle_, &fd, &interest, &wait);
  inPump_ = false;
  if (is_unrecoverable(handle_) != 0) return finish();
  followState();
  bool usable =
      rc == ZOK && fd >= 0 && interest != 0;  // after an error the number may be of a closed socket
  fd_ = usable ? fd : -1;
  wantsWrite_ = (interest & ZOOKEEPER_WRITE) != 0;
  if (usable) watcher_->watch(fd, FdEvents{(interest & ZOOKEEPER_READ) != 0, wantsWrite_});
  Duration delay{wait.tv_sec * 1'000'000'000 + wait.tv_usec * 1'000};
  timer_->start(std::max(delay, 1_ms));
  if (closing_ == Closing::DRAINING) advanceClose();
}

// The library's own events of the session do not all arrive: a loss was seen after which it
// reconnected for ever without having told. So its state is read after every step it makes.
void ZookeeperSession::followState() {
  bool connected = zoo_state(handle_) == ZOO_CONNECTED_STATE;
  if (connected && state_ != SessionState::CONNECTED) {
    sessionId_ = zoo_client_id(handle_)->client_id;
    timeoutGranted_ = 1_ms * zoo_recv_timeout(handle_);
    connects_++;
    if (timeoutGranted_ != timeoutAsked_) {
      KJ_LOG(WARNING,
             "ZooKeeper granted another session timeout than was asked; its tick time is wrong",
             timeoutGranted_.millis(), timeoutAsked_.millis());
    }
    moveTo(SessionState::CONNECTED);
  } else if (!connected && state_ == SessionState::CONNECTED) {
    moveTo(SessionState::CONNECTING);
    watches_.wakeAll();  // nobody knows what was missed
  }
}

void ZookeeperSession::moveTo(SessionState state) {
  if (state == state_) return;
  state_ = state;
  auto waiters = kj::mv(stateWaiters_);
  stateWaiters_.clear();
  for (auto& waiter : waiters) waiter->fulfill();
}

kj::Promise<void> ZookeeperSession::stateChanged() {
  if (state_ == SessionState::ENDED) return kj::NEVER_DONE;
  std::erase_if(stateWaiters_, [](auto& waiter) { return !waiter->isWaiting(); });
  auto paf = kj::newPromiseAndFulfiller<void>();
  stateWaiters_.push_back(kj::mv(paf.fulfiller));
  return kj::mv(paf.promise);
}

SessionHealth ZookeeperSession::health() const {
  return {timeoutAsked_, timeoutGranted_, connects_ > 1 ? connects_ - 1 : 0, watchdogKicks_,
          watches_.size()};
}

// ---- the watchdog

void ZookeeperSession::startWatchdog() {
  if (watchdogRuns_ || calls_.empty() || handle_ == nullptr) return;
  watchdogRuns_ = true;
  Duration age = clock_.steadyNow() - calls_.begin()->second->sent;
  watchdog_->start(std::max(watchdogAge(latency_.value()) - age, 1_ms));
}

void ZookeeperSession::onWatchdog() {
  watchdogRuns_ = false;
  if (handle_ == nullptr || calls_.empty() || closing_ == Closing::ASKED) return;
  Duration age = clock_.steadyNow() - calls_.begin()->second->sent;
  if (age < watchdogAge(latency_.value())) return startWatchdog();
  if (state_ == SessionState::CONNECTED) {
    watchdogKicks_++;
    zoo_aexists(
        handle_, "/", 0, [](int, const ::Stat*, const void*) {}, nullptr);
    arm();
  }
  if (handle_ == nullptr) return;
  watchdogRuns_ = true;
  watchdog_->start(WATCHDOG_REPEAT);
}

// ---- the end

void ZookeeperSession::close() {
  if (!open()) return;
  if (state_ != SessionState::CONNECTED) return finish();
  closing_ = Closing::DRAINING;
  closeDeadline_ = clock_.steadyNow() + CLOSE_DRAIN_MAX;
  advanceClose();
}

// Once nothing is outstanding, or it takes too long, asks the server to end the session and waits
// for it to hang up.
void ZookeeperSession::advanceClose() {
  if (state_ != SessionState::CONNECTED) return finish();
  Duration left = closeDeadline_ - clock_.steadyNow();
  bool drained = calls_.empty() && !wantsWrite_;
  if (!drained && left > Duration{0}) return timer_->start(std::min(left, 50_ms));
  if (!sendCloseRequest()) return finish();
  closing_ = Closing::ASKED;
  watcher_->watch(fd_, FdEvents{true, false});
  timer_->start(CLOSE_ANSWER_MAX);
}

// The request that zookeeper_close() would send: length 8, a request number, type -11. False when
// it cannot be sent now.
bool ZookeeperSession::sendCloseRequest() {
  if (fd_ < 0 || wantsWrite_) return false;
  const std::array<int32_t, 3> request = {static_cast<int32_t>(htonl(8)),
                                          static_cast<int32_t>(htonl(1)),
                                          static_cast<int32_t>(htonl(static_cast<uint32_t>(-11)))};
  return send(fd_, request.data(), sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof request;
}

// The library must not see what still comes; only the end matters.
void ZookeeperSession::onCloseReadable() {
  std::array<char, 4096> ignored;
  ssize_t size = 0;
  do {
    size = recv(fd_, ignored.data(), ignored.size(), MSG_DONTWAIT);
  } while (size > 0);
  if (size == 0 || (errno != EAGAIN && errno != EINTR)) finish();
}

void ZookeeperSession::closeHandle() {
  if (handle_ == nullptr) return;
  watcher_->stop();
  timer_->stop();
  watchdog_->stop();
  if (fd_ >= 0) shutdown(fd_, SHUT_RDWR);  // zookeeper_close() then has nobody to wait for
  inPump_ = true;
  zookeeper_close(std::exchange(handle_, nullptr));  // answers what is outstanding with ZCLOSING
}

void ZookeeperSession::finish() {
  closeHandle();
  watches_.endAll(KJ_EXCEPTION(DISCONNECTED, "the ZooKeeper session ended"));
  moveTo(SessionState::ENDED);
}

}  // namespace

ZookeeperService::ZookeeperService(EventLoop& loop, ZookeeperOptions options)
    : loop_(loop), options_(std::move(options)) {
  std::string joined;
  for (const std::string& server : options_.servers) joined += (joined.empty() ? "" : ",") + server;
  auto checked = parseServerList(joined);
  KJ_REQUIRE(checked.ok(), checked.refusal().text.c_str());
  KJ_REQUIRE(options_.digest.find(':') != std::string::npos,
             "the ZooKeeper digest is no \"user:password\"");
}
ZookeeperService::~ZookeeperService() noexcept(false) = default;

kj::Own<CoordinationSession> ZookeeperService::open() {
  return kj::heap<ZookeeperSession>(loop_, options_);
}

}  // namespace muster::failover
