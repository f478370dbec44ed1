#include "failover/log_repair.h"

#include "protocol/codec.h"

#include <kj/exception.h>

#include <algorithm>

namespace muster::failover {
namespace {

std::string number(BatchNumber batch) { return std::to_string(batch.value); }

LossJudgement restore(std::string text) { return {LossVerdict::RESTORE, std::move(text), {}}; }

// The chain after `at`, as the batch behind it names it or as our own position says.
std::optional<ChainHash> chainAt(BatchNumber at, const LogPosition& own, const HeldBytes& held) {
  if (at == own.batch) return own.chain;
  auto following = held(at.next());
  if (!following) return std::nullopt;
  return decodeBatch(*following).previousChain;
}

// Why the missing batches up to `own` cannot be written from what we hold; nothing when they can.
std::optional<std::string> whyNotWritable(const LogEnd& log, const LogPosition& own,
                                          const HeldBytes& held) {
  ChainHash chain = log.chain;
  for (BatchNumber at = log.last.next(); at <= own.batch; at = at.next()) {
    auto bytes = held(at);
    if (!bytes) {
      return "batches " + number(log.last.next()) + " to " + number(own.batch) +
             " are missing, more than coordinators keep: this is an old copy of ZooKeeper's data";
    }
    if (decodeBatch(*bytes).previousChain != chain) {
      return "batch " + number(log.last) + " is another one than the one we have applied";
    }
    chain = chainAfter(*bytes);
  }
  if (chain != own.chain) return "the end of the log is not what we have applied";
  return std::nullopt;
}

}  // namespace

LossJudgement judgeLoss(const LogEnd& log, const LogPosition& own, const HeldBytes& held,
                        const std::vector<Claim>& peers) {
  bool missing = own.batch > log.last;
  if (missing) {
    if (auto why = whyNotWritable(log, own, held)) return restore(*why);
  } else if (own.batch == log.last && own.chain != log.chain) {
    return restore("batch " + number(log.last) + " is another one than the one we have applied");
  }
  const Claim* most = nullptr;
  for (const Claim& peer : peers) {
    if (peer.position.batch > std::max(own.batch, log.last)) {
      if (most == nullptr || peer.position.batch > most->position.batch) most = &peer;
    } else if (peer.position.batch <= own.batch && peer.position.batch.value > 0) {
      auto ours = chainAt(peer.position.batch, own, held);
      if (ours && *ours != peer.position.chain) {
        return restore("coordinator " + peer.id.value + " has another batch " +
                       number(peer.position.batch) + " than this one");
      }
    }
  }
  if (most != nullptr) {
    return {LossVerdict::BEHIND,
            "coordinator " + most->id.value + " has committed batch " +
                number(most->position.batch) + ", the log ends with " + number(log.last),
            most->id};
  }
  if (!missing) return {};
  return {LossVerdict::REWRITE,
          "batches " + number(log.last.next()) + " to " + number(own.batch) + " are missing",
          {}};
}

std::optional<std::string> judgeContinuation(LogPosition from, const HistoryId& history,
                                             const std::vector<ByteString>& bytes,
                                             const std::vector<Claim>& peers) {
  for (const ByteString& one : bytes) {
    Batch batch;
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { batch = decodeBatch(one); })) {
      return "batch " + number(from.batch.next()) + ": " + exception->getDescription().cStr();
    }
    if (auto fault = judgeBatch(from, history, batch)) return fault->text;
    from = positionAfter(batch, one);
    for (const Claim& peer : peers) {
      if (peer.position.batch != from.batch || peer.position.chain == from.chain) continue;
      return "coordinator " + peer.id.value + " has another batch " + number(from.batch);
    }
  }
  return std::nullopt;
}

std::vector<Op> replaceOps(const Paths& paths, int32_t epochVersion, BatchNumber number,
                           const ByteString& bytes, int32_t version) {
  std::vector<Op> ops;
  ops.push_back(checkOp(paths.epoch(), epochVersion));
  ops.push_back(setOp(paths.batch(number), bytes, version));
  return ops;
}

}  // namespace muster::failover
