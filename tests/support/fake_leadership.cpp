#include "tests/support/fake_leadership.h"

#include "protocol/codec.h"

#include <kj/debug.h>

namespace muster::failover {

Leadership::Appended FakeLeadership::append(ByteString command) {
  if (over_) return {LogIndex{}, KJ_EXCEPTION(DISCONNECTED, "outcome unknown")};
  auto pending = kj::newPromiseAndFulfiller<void>();
  pending_.push_back({kj::mv(command), kj::mv(pending.fulfiller)});
  appended_.index = appended_.index.next();
  return {appended_.index, kj::mv(pending.promise)};
}

void FakeLeadership::commit(size_t count) {
  KJ_REQUIRE(count >= 1 && count <= pending_.size());
  LogPosition before = log_.end();
  Batch batch{log_.history,
              epoch_,
              before.batch.next(),
              before.index.next(),
              leaderTime,
              {},
              {epoch_.value, before.batch.value + 1},
              before.chain,
              hash_,
              {}};
  hash_.reset();
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting;
  for (size_t i = 0; i < count; i++) {
    batch.commands.push_back(kj::mv(pending_.front().command));
    waiting.push_back(kj::mv(pending_.front().fulfiller));
    pending_.pop_front();
  }
  LogPosition position{batch.number, batch.lastIndex(), chainAfter(encodeBatch(batch)), epoch_,
                       leaderTime};
  log_.batches.push_back({batch, position});
  if (handler_) handler_(batch, position);
  for (auto& fulfiller : waiting) fulfiller->fulfill();
}

void FakeLeadership::commitAll() {
  while (!pending_.empty()) commit();
}

kj::Promise<void> FakeLeadership::barrier() {
  auto waiter = kj::newPromiseAndFulfiller<void>();
  barriers_.push_back(kj::mv(waiter.fulfiller));
  return kj::mv(waiter.promise);
}

void FakeLeadership::prove() {
  checkSent_ = clock_.steadyNow();
  for (auto& barrier : barriers_) barrier->fulfill();
  barriers_.clear();
}

void FakeLeadership::lose(std::string why) {
  over_ = true;
  auto unknown = KJ_EXCEPTION(DISCONNECTED, "outcome unknown");
  for (auto& pending : pending_) pending.fulfiller->reject(kj::cp(unknown));
  for (auto& barrier : barriers_) barrier->reject(kj::cp(unknown));
  pending_.clear();
  barriers_.clear();
  end_.fulfiller->fulfill({LeadershipEnd::FENCED, kj::mv(why)});
}

}  // namespace muster::failover
