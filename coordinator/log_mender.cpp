#include "coordinator/log_mender.h"

#include "failover/session_wait.h"
#include "protocol/codec.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace muster::coordinator {
namespace {

constexpr Duration HEAR_DEADLINE = 300_ms;
constexpr kj::Duration ASK_AGAIN = 20 * kj::MILLISECONDS;
constexpr uint32_t FETCHED_AT_ONCE = 64;

using failover::AppendOutcome;
using failover::GetResult;
using failover::LogEnd;
using failover::LossJudgement;
using failover::ZkCode;

BatchNumber highest(const std::vector<std::string>& names) {
  BatchNumber found;
  for (const std::string& name : names) {
    uint64_t value = 0;
    std::from_chars(name.data(), name.data() + name.size(), value);
    found = std::max(found, BatchNumber{value});
  }
  return found;
}

[[noreturn]] void throwUnread() {
  kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the log's end was not read"));
  KJ_UNREACHABLE;
}

}  // namespace

LogPosition LogMender::own() const { return parts_.store.meta()->applied; }

failover::HeldBytes LogMender::held() const {
  return [this](BatchNumber number) { return parts_.store.batchBytes(number); };
}

LossJudgement LogMender::judge() const {
  LogPosition position = own();
  return failover::judgeLoss(LogEnd{position.batch, position.chain}, position, held(),
                             parts_.peers.claims(parts_.history));
}

Co<LossJudgement> LogMender::compareCo() {
  co_await parts_.peers.hearAll(HEAR_DEADLINE);
  LogEnd end = co_await readEnd();
  if (own().batch < end.last) {
    std::string path = parts_.paths.batch(own().batch);
    GetResult found = co_await parts_.session.get(path);
    bool isOurs = found.code == ZkCode::OK && chainAfter(found.data) == own().chain;
    if (!isOurs) {
      std::string what = found.code == ZkCode::OK ? " holds another batch than we have applied"
                                                  : " is missing, and the log goes on behind it";
      co_return LossJudgement(failover::LossVerdict::RESTORE, path + what);
    }
  }
  co_return failover::judgeLoss(end, own(), held(), parts_.peers.claims(parts_.history));
}

// The caller has just committed a check on this session, so its server is not behind.
Co<LogEnd> LogMender::readEnd() {
  co_await failover::whenConnected(parts_.session);
  auto listed = co_await parts_.session.list(parts_.paths.log());
  if (listed.code != ZkCode::OK) throwUnread();
  LogEnd end{highest(listed.children), {}};
  if (end.last.value == 0) co_return end;
  GetResult last = co_await parts_.session.get(parts_.paths.batch(end.last));
  if (last.code != ZkCode::OK) throwUnread();
  end.chain = chainAfter(last.data);
  co_return end;
}

Co<bool> LogMender::isStillElectedCo(int32_t epochVersion) {
  for (;;) {
    co_await failover::whenConnected(parts_.session);
    auto checked = co_await parts_.session.multi(failover::checkOps(parts_.paths, epochVersion));
    AppendOutcome outcome = failover::judgeAppend(checked);
    if (outcome != AppendOutcome::UNKNOWN) co_return outcome == AppendOutcome::COMMITTED;
    co_await parts_.timer.afterDelay(ASK_AGAIN);
  }
}

Co<std::vector<ByteString>> LogMender::fetchCo(CoordinatorId source) {
  std::vector<ByteString> all;
  for (;;) {
    BatchNumber from{own().batch.value + 1 + all.size()};
    auto some = co_await parts_.peers.batches(source, from, FETCHED_AT_ONCE);
    if (some.empty()) break;
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  auto wrong =
      failover::judgeContinuation(own(), parts_.history, all, parts_.peers.claims(parts_.history));
  if (!wrong) co_return all;
  parts_.logger.error("a peer's batches do not continue ours", {{"peer", source}, {"why", *wrong}});
  co_return std::vector<ByteString>();
}

Co<bool> LogMender::rewriteCo(int32_t epochVersion) {
  LogEnd end = co_await readEnd();
  BatchNumber to = own().batch;
  parts_.logger.warn("writing lost batches again", {{"from", end.last.next()}, {"to", to}});
  for (BatchNumber at = end.last.next(); at <= to; at = at.next()) {
    auto bytes = parts_.store.batchBytes(at);
    if (!bytes) co_return false;
    bool written = co_await write(at, *bytes, epochVersion);
    if (!written) co_return false;
  }
  parts_.logger.warn("lost batches are written again", {{"from", end.last.next()}, {"to", to}});
  co_return true;
}

// An unknown outcome is met by the same again: the name can be taken once only.
Co<bool> LogMender::write(BatchNumber number, ByteString bytes, int32_t epochVersion) {
  for (;;) {
    co_await failover::whenConnected(parts_.session);
    auto ops = failover::appendOps(parts_.paths, epochVersion, number, bytes);
    auto result = co_await parts_.session.multi(std::move(ops));
    AppendOutcome outcome = failover::judgeAppend(result);
    if (outcome == AppendOutcome::COMMITTED) co_return true;
    if (outcome == AppendOutcome::EXISTS) {
      GetResult found = co_await parts_.session.get(parts_.paths.batch(number));
      if (found.code == ZkCode::OK) {
        co_return failover::judgeFound(bytes, found.data) == failover::FoundBatch::OURS;
      }
    } else if (outcome != AppendOutcome::UNKNOWN) {
      co_return false;
    }
    co_await parts_.timer.afterDelay(ASK_AGAIN);
  }
}

Co<bool> LogMender::mendCo(LogPosition before, int32_t epochVersion) {
  BatchNumber number = before.batch.next();
  auto claims = parts_.peers.claims(parts_.history);
  std::vector<ByteString> offered = co_await parts_.peers.batchOfAll(number);
  if (auto kept = parts_.store.batchBytes(number)) offered.push_back(*kept);
  std::erase_if(offered, [&](const ByteString& bytes) {
    std::vector<ByteString> one(1, bytes);
    return failover::judgeContinuation(before, parts_.history, one, claims).has_value();
  });
  bool agree =
      std::equal(offered.begin() + (offered.empty() ? 0 : 1), offered.end(), offered.begin());
  if (offered.empty() || !agree) co_return false;
  GetResult found = co_await parts_.session.get(parts_.paths.batch(number));
  if (found.code == ZkCode::NO_NODE) {
    bool written = co_await write(number, offered.front(), epochVersion);
    co_return written;
  }
  if (found.code != ZkCode::OK) co_return false;
  auto ops =
      failover::replaceOps(parts_.paths, epochVersion, number, offered.front(), found.stat.version);
  auto result = co_await parts_.session.multi(std::move(ops));
  parts_.logger.warn("wrote a damaged record again",
                     {{"batch", number}, {"done", result.code == ZkCode::OK}});
  co_return result.code == ZkCode::OK;
}

Co<bool> LogMender::lookCo(BatchNumber number, int32_t epochVersion) {
  auto kept = parts_.store.batchBytes(number);
  if (!kept || number > own().batch) co_return false;
  GetResult found = co_await parts_.session.get(parts_.paths.batch(number));
  if (found.code == ZkCode::OK && found.data == *kept) co_return false;
  bool written = false;
  if (found.code == ZkCode::OK) {
    auto ops = failover::replaceOps(parts_.paths, epochVersion, number, *kept, found.stat.version);
    auto result = co_await parts_.session.multi(std::move(ops));
    written = result.code == ZkCode::OK;
  } else if (found.code == ZkCode::NO_NODE && number.value > 1) {
    // Missing behind one that is there: a hole. Missing behind nothing: trimmed. The append's own
    // check of the predecessor tells.
    auto ops = failover::appendOps(parts_.paths, epochVersion, number, *kept);
    auto result = co_await parts_.session.multi(std::move(ops));
    written = result.code == ZkCode::OK;
  }
  if (written) {
    parts_.logger.error("a record of the log was damaged or missing; it is written again",
                        {{"batch", number}});
  }
  co_return written;
}

}  // namespace muster::coordinator
