#include "failover/log_reader.h"

#include "base/planted_bug.h"
#include "failover/records.h"
#include "failover/session_wait.h"
#include "failover/snapshot_reader.h"
#include "protocol/codec.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace muster::failover {
namespace {

constexpr size_t AHEAD_MAX = 32;

std::string number(uint64_t value) { return std::to_string(value); }

std::string textOf(const HistoryId& history) {
  return number(history.number) + "/" + toText(history.guid);
}

uint64_t highestNumber(const std::vector<std::string>& names) {
  uint64_t highest = 0;
  for (const std::string& name : names) {
    uint64_t value = 0;
    std::from_chars(name.data(), name.data() + name.size(), value);
    highest = std::max(highest, value);
  }
  return highest;
}

}  // namespace

const char* nameOf(LogFault fault) {
  switch (fault) {
    case LogFault::HOLE:
      return "HOLE";
    case LogFault::CORRUPT:
      return "CORRUPT";
    case LogFault::CHAIN_BROKEN:
      return "CHAIN_BROKEN";
    case LogFault::EPOCH_WENT_DOWN:
      return "EPOCH_WENT_DOWN";
    case LogFault::HISTORY_DIFFERS:
      return "HISTORY_DIFFERS";
    case LogFault::LOST_SUFFIX:
      return "LOST_SUFFIX";
    case LogFault::TRIMMED:
      return "TRIMMED";
    case LogFault::UNKNOWN_FORMAT:
      return "UNKNOWN_FORMAT";
  }
  KJ_UNREACHABLE;
}

bool isFault(const kj::Exception& exception, LogFault fault) {
  return std::strstr(exception.getDescription().cStr(), nameOf(fault)) != nullptr;
}

std::optional<FoundFault> judgeBatch(const LogPosition& position, const HistoryId& history,
                                     const Batch& batch) {
  auto found = [&](LogFault fault, const std::string& text) {
    BatchNumber wrong = position.batch.next();
    return FoundFault{fault, "batch " + number(wrong.value) + ": " + text, wrong};
  };
  if (batch.history != history) {
    return found(LogFault::HISTORY_DIFFERS,
                 "history " + textOf(batch.history) + ", wanted " + textOf(history));
  }
  if (batch.number != position.batch.next())
    return found(LogFault::CORRUPT, "says number " + number(batch.number.value));
  if (batch.previousChain != position.chain) {
    return found(LogFault::CHAIN_BROKEN, "follows chain " + toText(batch.previousChain) +
                                             ", we have " + toText(position.chain));
  }
  if (batch.epoch < position.epoch) {
    return found(LogFault::EPOCH_WENT_DOWN,
                 "epoch " + number(batch.epoch.value) + " after " + number(position.epoch.value));
  }
  if (batch.firstIndex != position.index.next()) {
    return found(LogFault::CORRUPT, "first index " + number(batch.firstIndex.value) + ", wanted " +
                                        number(position.index.value + 1));
  }
  return std::nullopt;
}

LogPosition positionAfter(const Batch& batch, const ByteString& bytes) {
  return LogPosition{batch.number, batch.lastIndex(), chainAfter(bytes), batch.epoch,
                     batch.leaderTime};
}

void LogReader::fail(FoundFault fault) {
  if (onFault_) onFault_(fault);
  kj::throwFatalException(KJ_EXCEPTION(FAILED, nameOf(fault.fault), fault.text.c_str()));
  KJ_UNREACHABLE;
}

kj::Own<EndReads> readEnd(CoordinationSession& session, const Paths& paths,
                          const LogPosition& position) {
  auto reads = kj::heap<EndReads>();
  reads->position = position;
  reads->reconnects = session.health().reconnects;
  reads->last = session.get(paths.batch(position.batch));
  reads->next = session.get(paths.batch(position.batch.next()));
  return reads;
}

LogReader::LogReader(CoordinationSession& session, Paths paths, HistoryId history, LogPosition from)
    : session_(session), paths_(std::move(paths)), history_(history), position_(from) {
  counting_ = countChanges().asPromise().eagerlyEvaluate(nullptr);
}

Co<void> LogReader::countChanges() {
  while (session_.state() != SessionState::ENDED) {
    co_await session_.stateChanged();
    stateChanges_++;
  }
}

kj::Promise<kj::Maybe<ReadBatch>> LogReader::next() { return nextCo(); }
kj::Promise<ReadBatch> LogReader::waitNext(kj::Timer& timer) { return waitNextCo(timer); }
kj::Promise<void> LogReader::verifyPosition() { return verifyCo(); }
kj::Promise<bool> LogReader::proveEnd() { return proveEndCo(); }

Co<kj::Maybe<ReadBatch>> LogReader::nextCo() {
  for (;;) {
    co_await whenConnected(session_);
    if (provenAt_ != stateChanges_) co_await verifyCo();
    bool fresh = ahead_.empty() || aheadFirst_ != position_.batch.next();
    if (std::exchange(aheadIsFinal_, false)) fresh = true;
    GetResult got = co_await takeAhead();
    if (got.code == ZkCode::OK) {
      ReadBatch read = accept(got.data);
      readAhead();
      co_return kj::Maybe<ReadBatch>(kj::mv(read));
    }
    requireUsable(got.code, paths_.log());
    ahead_.clear();
    aheadMax_ = 0;
    // What was asked for ahead may have come since.
    if (got.code == ZkCode::NO_NODE && fresh) co_return kj::Maybe<ReadBatch>(nullptr);
  }
}

// The get for the next batch, sent now unless it was sent ahead.
kj::Promise<GetResult> LogReader::takeAhead() {
  BatchNumber wanted = position_.batch.next();
  if (ahead_.empty() || aheadFirst_ != wanted) {
    ahead_.clear();
    return session_.get(paths_.batch(wanted));
  }
  auto promise = kj::mv(ahead_.front());
  ahead_.pop_front();
  aheadFirst_ = wanted.next();
  return promise;
}

// Each batch found doubles how far we read ahead.
void LogReader::readAhead() {
  aheadMax_ = std::min(std::max<size_t>(aheadMax_ * 2, 1), AHEAD_MAX);
  if (ahead_.empty()) aheadFirst_ = position_.batch.next();
  while (ahead_.size() < aheadMax_) {
    ahead_.push_back(session_.get(paths_.batch(BatchNumber{aheadFirst_.value + ahead_.size()})));
  }
}

ReadBatch LogReader::accept(const ByteString& bytes) {
  Batch batch;
  KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { batch = decodeBatch(bytes); })) {
    bool unknown = exception->getType() == kj::Exception::Type::UNIMPLEMENTED;
    BatchNumber wrong = position_.batch.next();
    fail({unknown ? LogFault::UNKNOWN_FORMAT : LogFault::CORRUPT,
          paths_.batch(wrong) + ": " + exception->getDescription().cStr(), wrong});
  }
  auto fault = judgeBatch(position_, history_, batch);
  if (fault) fail(*fault);
  position_ = positionAfter(batch, bytes);
  return ReadBatch{std::move(batch), position_, bytes};
}

Co<ReadBatch> LogReader::waitNextCo(kj::Timer& timer) {
  for (;;) {
    kj::Maybe<ReadBatch> found = co_await nextCo();
    KJ_IF_MAYBE (read, found) {
      co_return kj::mv(*read);
    }
    WatchResult watched = co_await session_.watch(paths_.batch(position_.batch.next()));
    requireUsable(watched.code, paths_.log());
    if (watched.code == ZkCode::NO_NODE) {
      // Also the loss of the connection ends this wait; next() then proves the position.
      co_await kj::mv(watched.changed).exclusiveJoin(timer.afterDelay(SECOND_LOOK));
    }
  }
}

Co<void> LogReader::verifyCo() {
  for (;;) {
    co_await whenConnected(session_);
    uint64_t changes = stateChanges_;
    if (MUSTER_PLANTED_BUG(ABSENCE_BY_READ) && position_.batch.value > 0) {
      GetResult read = co_await session_.get(paths_.batch(position_.batch));
      if (read.code == ZkCode::NO_NODE) {
        fail({LogFault::LOST_SUFFIX, paths_.batch(position_.batch) + " is gone", position_.batch});
      }
    }
    // A write first: it proves absence too, and brings this session's server up to date for the
    // reads.
    std::vector<Op> ops(1, checkOp(paths_.epoch()));
    if (position_.batch.value > 0) ops.push_back(checkOp(paths_.batch(position_.batch)));
    MultiResult present = co_await session_.multi(std::move(ops));
    requireUsable(present.code, paths_.root);
    if (present.code == ZkCode::NO_NODE) co_await judgeMissing(kj::mv(present));
    if (present.code != ZkCode::OK) continue;
    if (position_.batch.value == 0) co_await requireStart();
    bool historyRead = co_await compareHistory();
    bool chainRead = historyRead && co_await compareChain();
    if (!chainRead) continue;
    provenAt_ = changes;
    co_return;
  }
}

// What we have is gone: before the current snapshot on purpose, else it is lost. Always throws.
Co<void> LogReader::judgeMissing(MultiResult present) {
  if (present.results.at(0).code == ZkCode::NO_NODE)
    fail(FoundFault(LogFault::HISTORY_DIFFERS, paths_.epoch() + " is gone", {}));
  BatchNumber current = co_await currentBatch();
  std::string what = paths_.batch(position_.batch) + " is gone";
  if (position_.batch < current) {
    what += ", batch " + number(current.value) + " is in a snapshot";
    fail(FoundFault(LogFault::TRIMMED, what, position_.batch));
  }
  fail(FoundFault(LogFault::LOST_SUFFIX, what + ", we applied it", position_.batch));
}

// Who has nothing yet needs the log from its first batch on.
Co<void> LogReader::requireStart() {
  BatchNumber current = co_await currentBatch();
  if (current.value == 0) co_return;
  std::string first = paths_.batch(BatchNumber{1});
  GetResult got = co_await session_.get(first);
  if (got.code != ZkCode::NO_NODE) co_return;
  fail(FoundFault(LogFault::TRIMMED, first + " is gone", BatchNumber{1}));
}

// The newest batch in the current snapshot; 0 when there is none.
Co<BatchNumber> LogReader::currentBatch() {
  kj::Maybe<CurrentSnapshot> current = co_await readCurrentSnapshot(session_, paths_);
  BatchNumber batch;
  KJ_IF_MAYBE (found, current) batch = found->manifest.position.batch;
  co_return batch;
}

// False when it could not be read.
Co<bool> LogReader::compareHistory() {
  GetResult epoch = co_await session_.get(paths_.epoch());
  requireUsable(epoch.code, paths_.epoch());
  if (epoch.code != ZkCode::OK) co_return false;
  HistoryId found = decodeEpoch(epoch.data, epoch.stat.version).history;
  if (found != history_) {
    fail({LogFault::HISTORY_DIFFERS,
          "ZooKeeper holds history " + textOf(found) + ", wanted " + textOf(history_),
          {}});
  }
  co_return true;
}

kj::Promise<void> LogReader::verifyOnceElected(kj::Own<EndReads> sent) {
  bool usable = session_.state() == SessionState::CONNECTED && position_.batch.value > 0;
  if (!usable) return verifyCo();
  uint64_t changes = stateChanges_;
  return takeLast(kj::mv(sent)).then([this, changes](GetResult&& last) -> kj::Promise<void> {
    if (isOurChain(last) && changes == stateChanges_) {
      provenAt_ = changes;
      return kj::READY_NOW;
    }
    ahead_.clear();
    aheadIsFinal_ = false;
    return verifyCo();
  });
}

// The get for the batch we stand at, sent now unless `sent` holds it; then the one for the next
// batch, too.
kj::Promise<GetResult> LogReader::takeLast(kj::Own<EndReads> sent) {
  bool usable = sent.get() != nullptr && sent->position == position_ &&
                sent->reconnects == session_.health().reconnects;
  if (!usable) return session_.get(paths_.batch(position_.batch));
  ahead_.clear();
  ahead_.push_back(kj::mv(sent->next));
  aheadFirst_ = position_.batch.next();
  aheadIsFinal_ = true;
  return kj::mv(sent->last);
}

// False when it could not be read.
Co<bool> LogReader::compareChain() {
  if (position_.batch.value == 0) co_return true;
  GetResult got = co_await session_.get(paths_.batch(position_.batch));
  co_return isOurChain(got);
}

// Of the batch we stand at. False when it could not be read.
bool LogReader::isOurChain(const GetResult& got) {
  std::string path = paths_.batch(position_.batch);
  requireUsable(got.code, path);
  if (got.code != ZkCode::OK) return false;
  if (chainAfter(got.data) != position_.chain)
    fail({LogFault::LOST_SUFFIX, path + " holds other bytes than we applied", position_.batch});
  return true;
}

Co<bool> LogReader::proveEndCo() {
  for (;;) {
    co_await whenConnected(session_);
    ListResult listed = co_await session_.list(paths_.log());
    requireUsable(listed.code, paths_.log());
    if (listed.code != ZkCode::OK) continue;
    uint64_t highest = highestNumber(listed.children);
    if (highest <= position_.batch.value) co_return true;
    std::string path = paths_.batch(position_.batch.next());
    GetResult following = co_await session_.get(path);
    requireUsable(following.code, path);
    if (following.code == ZkCode::OK) co_return false;
    if (following.code == ZkCode::NO_NODE)
      fail({LogFault::HOLE, path + " is missing, the log goes on to " + number(highest),
            position_.batch.next()});
  }
}

}  // namespace muster::failover
