#include "base/co.h"
#include "base/kj_time.h"
#include "base/tasks.h"
#include "worker/engine/native/group.h"
#include "worker/engine/native/group_channel.h"
#include "worker/engine/native/group_handshake.h"

#include <kj/debug.h>

#include <algorithm>
#include <utility>

namespace muster::worker {
namespace {

constexpr kj::Duration PAUSE_MIN = 50 * kj::MILLISECONDS;
constexpr kj::Duration PAUSE_MAX = 2 * kj::SECONDS;

class Member final : public Group {
 public:
  Member(kj::Network& network, kj::Timer& timer, Random& random, GroupTask task,
         std::string rendezvous)
      : network_(network),
        timer_(timer),
        random_(random),
        task_(std::move(task)),
        rendezvous_(std::move(rendezvous)),
        broken_(kj::newPromiseAndFulfiller<std::string>()),
        tasks_("rank group") {}

  kj::Promise<Result<Done>> joined() override {
    kj::Promise<Result<Done>> joining = join();
    auto late = timer_.afterDelay(toKj(task_.joinTimeout)).then([this]() -> Result<Done> {
      return Refusal{.code = RefusalCode::JOIN_TIMEOUT,
                     .text = "rank " + std::to_string(task_.ref.rank.value) +
                             " could not join the group at " + rendezvous_ + " within " +
                             toText(task_.joinTimeout) + ": " + lastTrouble_};
    });
    return joining.exclusiveJoin(kj::mv(late));
  }

  kj::Promise<std::string> broken() override { return kj::mv(broken_.promise); }
  const std::vector<RankCard>& cards() const override { return cards_; }

  std::vector<RankNumber> present() const override {
    std::vector<RankNumber> ranks;
    if (started_) {
      for (uint32_t rank = 0; rank < task_.worldSize; ++rank) ranks.push_back({rank});
    } else {
      ranks.push_back(task_.ref.rank);
    }
    return ranks;
  }

 private:
  Co<Result<Done>> join() {
    kj::Duration pause = PAUSE_MIN;
    for (;;) {
      Attempt attempt = co_await tryOnce();
      if (attempt == Attempt::REFUSED) {
        co_return Result<Done>(
            Refusal{.code = RefusalCode::NOT_ALLOWED,
                    .text = "the group at " + rendezvous_ + " refused us: " + lastTrouble_});
      }
      if (attempt == Attempt::WELCOME) {
        bool started = co_await waitForStart();
        if (started) break;
      }
      // Half fixed, half drawn: ranks of one group must not come in step.
      auto jitter =
          static_cast<int64_t>(random_.below(static_cast<uint64_t>(pause / kj::NANOSECONDS)));
      co_await timer_.afterDelay(pause / 2 + jitter * kj::NANOSECONDS / 2);
      pause = std::min(PAUSE_MAX, pause * 2);
    }
    co_return Result<Done>(Done{});
  }

  // A failure of the connection means: come again.
  kj::Promise<Attempt> tryOnce() {
    kj::Promise<AttemptOutcome> attempt = introduceSelf();
    return attempt
        .catch_([](kj::Exception&& exception) {
          return AttemptOutcome{Attempt::COME_AGAIN, exception.getDescription().cStr()};
        })
        .then([this](AttemptOutcome outcome) {
          if (!outcome.trouble.empty()) lastTrouble_ = std::move(outcome.trouble);
          return outcome.attempt;
        });
  }

  Co<AttemptOutcome> introduceSelf() {
    auto address = co_await network_.parseAddress(rendezvous_.c_str());
    auto stream = co_await timer_.timeoutAfter(GroupChannel::DEADLINE, address->connect());
    alive_ = nullptr;  // before the channel it writes to
    channel_ = kj::heap<GroupChannel>(kj::mv(stream), timer_);
    Introduction introduction;
    introduction.ref = task_.ref;
    introduction.worldSize = task_.worldSize;
    introduction.card = task_.card;
    co_return co_await introduce(*channel_, random_, task_.secret, kj::mv(introduction));
  }

  // False when the connection broke before everybody was there.
  kj::Promise<bool> waitForStart() {
    alive_ = keepAlive();
    kj::Promise<bool> start = readUntilStart();
    return start.catch_([this](kj::Exception&& exception) {
      lastTrouble_ = exception.getDescription().cStr();
      return false;
    });
  }

  Co<bool> readUntilStart() {
    for (;;) {
      auto message = co_await channel_->receive(GROUP_SILENCE_MAX);
      if (takeBegin(message->getRoot<schema::GroupMessage>())) break;
    }
    started_ = true;
    tasks_.add(watch());
    co_return true;
  }

  bool takeBegin(schema::GroupMessage::Reader root) {
    if (!root.isBegin()) return false;
    for (auto card : root.getBegin()) cards_.push_back(decode(card));
    return cards_.size() == task_.worldSize;
  }

  // Returns why the group is broken, once rank 0 says so.
  Co<std::string> readUntilBroken() {
    for (;;) {
      auto message = co_await channel_->receive(GROUP_SILENCE_MAX);
      auto root = message->getRoot<schema::GroupMessage>();
      if (root.isBroken()) co_return std::string(root.getBroken().cStr());
    }
  }
  kj::Promise<void> watch() {
    kj::Promise<std::string> reading = readUntilBroken();
    return reading
        .catch_([](kj::Exception&& exception) {
          return "rank 0 left the group: " + std::string(exception.getDescription().cStr());
        })
        .then([this](std::string why) { broken_.fulfiller->fulfill(std::move(why)); });
  }

  Co<void> keepAliveLoop() {
    for (;;) {
      co_await channel_->send([](schema::GroupMessage::Builder out) { out.setAlive(); });
      co_await timer_.afterDelay(GROUP_ALIVE_INTERVAL);
    }
  }
  kj::Promise<void> keepAlive() {
    kj::Promise<void> loop = keepAliveLoop();
    // The reading side notices a broken connection as well, and says so.
    return loop.catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr);
  }

  kj::Network& network_;
  kj::Timer& timer_;
  Random& random_;
  GroupTask task_;
  std::string rendezvous_;
  std::string lastTrouble_ = "nobody answered there";
  kj::PromiseFulfillerPair<std::string> broken_;
  kj::Own<GroupChannel> channel_;
  kj::Promise<void> alive_ = nullptr;
  std::vector<RankCard> cards_;
  bool started_ = false;
  Tasks tasks_;
};

}  // namespace

kj::Own<Group> joinGroup(kj::Network& network, kj::Timer& timer, Random& random, GroupTask task,
                         std::string rendezvous) {
  return kj::heap<Member>(network, timer, random, std::move(task), std::move(rendezvous));
}

}  // namespace muster::worker
