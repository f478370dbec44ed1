#include "base/co.h"
#include "base/kj_time.h"
#include "base/tasks.h"
#include "protocol/codec.h"
#include "worker/engine/native/group.h"
#include "worker/engine/native/group_channel.h"
#include "worker/engine/native/group_proof.h"

#include <kj/debug.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace muster::worker {
namespace {

constexpr kj::Duration ALIVE_INTERVAL = 1 * kj::SECONDS;
constexpr kj::Duration SILENCE_MAX = 10 * kj::SECONDS;
constexpr kj::Duration PAUSE_MIN = 50 * kj::MILLISECONDS;
constexpr kj::Duration PAUSE_MAX = 2 * kj::SECONDS;

// What one attempt to be welcomed came to.
enum class Attempt { WELCOME, COME_AGAIN, REFUSED };

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
    kj::Promise<Attempt> attempt = introduce();
    return attempt.catch_([this](kj::Exception&& exception) {
      lastTrouble_ = exception.getDescription().cStr();
      return Attempt::COME_AGAIN;
    });
  }

  Co<Attempt> introduce() {
    auto address = co_await network_.parseAddress(rendezvous_.c_str());
    auto stream = co_await timer_.timeoutAfter(GroupChannel::DEADLINE, address->connect());
    alive_ = nullptr;  // before the channel it writes to
    channel_ = kj::heap<GroupChannel>(kj::mv(stream), timer_);
    ProofInput input{
        .side = "host", .ref = task_.ref, .memberNonce = drawNonce(random_), .hostNonce = {}};
    co_await channel_->send([this, &input](schema::GroupMessage::Builder out) {
      auto hello = out.initHello();
      hello.setVersion(1);
      encode(task_.ref, hello.initRef());
      hello.setWorldSize(task_.worldSize);
      hello.setNonce({input.memberNonce.data(), input.memberNonce.size()});
    });
    auto message = co_await channel_->receive();
    auto root = message->getRoot<schema::GroupMessage>();
    if (!root.isChallenge()) co_return answerTo(root);
    auto challenge = root.getChallenge();
    bool trusted = checkHost(challenge, input);
    if (!trusted) co_return Attempt::REFUSED;
    input.side = "member";
    Proof proof = makeProof(task_.secret, input);
    co_await channel_->send([&proof](schema::GroupMessage::Builder out) {
      out.setProof({proof.data(), proof.size()});
    });
    auto verdict = co_await channel_->receive();
    co_return answerTo(verdict->getRoot<schema::GroupMessage>());
  }

  // The host proves the secret first: a stranger on that port learns nothing from us.
  bool checkHost(schema::GroupMessage::Challenge::Reader challenge, ProofInput& input) {
    auto nonce = challenge.getNonce();
    if (nonce.size() == input.hostNonce.size()) {
      std::memcpy(input.hostNonce.data(), nonce.begin(), nonce.size());
      auto proof = challenge.getProof();
      if (sameProof(makeProof(task_.secret, input), {proof.begin(), proof.size()})) return true;
    }
    lastTrouble_ = "whoever listens there does not know the secret of this generation";
    return false;
  }

  Attempt answerTo(schema::GroupMessage::Reader root) {
    switch (root.which()) {
      case schema::GroupMessage::WELCOME:
        return Attempt::WELCOME;
      case schema::GroupMessage::REFUSED:
        lastTrouble_ = root.getRefused().cStr();
        return Attempt::REFUSED;
      case schema::GroupMessage::WAIT:
        lastTrouble_ = "an older generation still meets there";
        return Attempt::COME_AGAIN;
      default:
        lastTrouble_ = "an answer out of turn";
        return Attempt::COME_AGAIN;
    }
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
      auto message = co_await channel_->receive(SILENCE_MAX);
      if (message->getRoot<schema::GroupMessage>().isStart()) break;
    }
    started_ = true;
    tasks_.add(watch());
    co_return true;
  }

  Co<void> readForEver() {
    for (;;) (void)co_await channel_->receive(SILENCE_MAX);
  }
  kj::Promise<void> watch() {
    kj::Promise<void> reading = readForEver();
    return reading.catch_([this](kj::Exception&& exception) {
      broken_.fulfiller->fulfill("rank 0 left the group: " +
                                 std::string(exception.getDescription().cStr()));
    });
  }

  Co<void> keepAliveLoop() {
    for (;;) {
      co_await channel_->send([](schema::GroupMessage::Builder out) { out.setAlive(); });
      co_await timer_.afterDelay(ALIVE_INTERVAL);
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
  bool started_ = false;
  Tasks tasks_;
};

}  // namespace

kj::Own<Group> joinGroup(kj::Network& network, kj::Timer& timer, Random& random, GroupTask task,
                         std::string rendezvous) {
  return kj::heap<Member>(network, timer, random, std::move(task), std::move(rendezvous));
}

}  // namespace muster::worker
