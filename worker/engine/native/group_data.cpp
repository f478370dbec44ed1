#include "worker/engine/native/group_data.h"

#include "base/co.h"
#include "base/kj_time.h"
#include "base/tasks.h"
#include "worker/engine/native/group_channel.h"
#include "worker/engine/native/group_handshake.h"

#include <kj/debug.h>

#include <fcntl.h>
#include <set>
#include <utility>

namespace muster::worker {
namespace {

constexpr kj::Duration PAUSE = 100 * kj::MILLISECONDS;

// The socket for blocking use: whole messages have been read from it, and not a byte more.
kj::AutoCloseFd takeSocket(kj::Own<kj::AsyncIoStream> stream) {
  KJ_IF_MAYBE (fd, stream->getFd()) {
    int copy = -1;
    KJ_SYSCALL(copy = ::fcntl(*fd, F_DUPFD_CLOEXEC, 0));
    return kj::AutoCloseFd(copy);
  }
  KJ_FAIL_REQUIRE("collectives need sockets of the kernel");
}

class Port final : public DataPort {
 public:
  Port(kj::Network& network, kj::Timer& timer, Random& random, GroupTask task,
       kj::Own<kj::ConnectionReceiver> receiver, const std::string& address)
      : network_(network),
        timer_(timer),
        random_(random),
        task_(std::move(task)),
        receiver_(kj::mv(receiver)),
        address_(address + ":" + std::to_string(receiver_->getPort())),
        all_(kj::newPromiseAndFulfiller<Result<Done>>()),
        tasks_("data connections of a rank") {
    tasks_.add(acceptLoop());
  }

  std::string address() const override { return address_; }

  kj::Promise<Result<Connections>> connect(std::vector<RankNumber> peers,
                                           std::vector<RankCard> cards) override {
    asked_ = true;
    missing_.insert(peers.begin(), peers.end());
    for (const auto& [rank, connection] : connections_) missing_.erase(rank);
    for (RankNumber peer : peers) {
      // One side of each pair dials.
      if (peer < task_.ref.rank) tasks_.add(dialUntilWelcome(peer, cards[peer.value].dataAddress));
    }
    finishWhenComplete();
    auto late = timer_.afterDelay(toKj(task_.joinTimeout)).then([this]() -> Result<Done> {
      return Refusal{.code = RefusalCode::JOIN_TIMEOUT, .text = missingText()};
    });
    return all_.promise.exclusiveJoin(kj::mv(late))
        .then([this](Result<Done> outcome) -> Result<Connections> {
          if (!outcome) return outcome.refusal();
          return std::move(connections_);
        });
  }

 private:
  Co<void> acceptLoop() {
    for (;;) {
      auto stream = co_await receiver_->accept();
      if (pending_ >= GROUP_PENDING_MAX) continue;  // dropping the stream closes it
      ++pending_;
      kj::Promise<void> meeting = meet(kj::mv(stream));
      tasks_.add(meeting.attach(kj::defer([this] { --pending_; })));
    }
  }

  Co<void> meet(kj::Own<kj::AsyncIoStream> stream) {
    auto channel = kj::heap<GroupChannel>(kj::mv(stream), timer_);
    auto admitted = co_await admit(*channel, random_, task_.secret,
                                   [this](const Introduction& one) { return judge(one); });
    if (!admitted) co_return;
    co_await channel->send([](schema::GroupMessage::Builder out) { out.setWelcome(); });
    keep(admitted->ref.rank, channel->release());
  }

  Judgement judge(const Introduction& one) const {
    Judgement judgement = judgeIntroduction(one, task_.ref, task_.worldSize);
    bool dials = one.purpose == Purpose::DATA && one.ref.rank > task_.ref.rank;
    if (judgement.verdict != Verdict::TALK || dials) return judgement;
    return {Verdict::REFUSE, "only data connections of higher ranks are taken here"};
  }

  Co<void> dialUntilWelcome(RankNumber peer, std::string address) {
    for (;;) {
      AttemptOutcome outcome = co_await dial(peer, address);
      if (outcome.attempt == Attempt::WELCOME) co_return;
      trouble_ = outcome.trouble;
      if (outcome.attempt == Attempt::REFUSED) {
        refuse(peer);
        co_return;
      }
      co_await timer_.afterDelay(PAUSE);
    }
  }

  void refuse(RankNumber peer) {
    all_.fulfiller->fulfill(
        Refusal{.code = RefusalCode::NOT_ALLOWED,
                .text = "rank " + std::to_string(peer.value) + " refused us: " + trouble_});
  }

  // A failure of the connection means: come again.
  kj::Promise<AttemptOutcome> dial(RankNumber peer, std::string address) {
    kj::Promise<AttemptOutcome> attempt = dialOnce(peer, std::move(address));
    return attempt.catch_([](kj::Exception&& exception) {
      return AttemptOutcome{Attempt::COME_AGAIN, exception.getDescription().cStr()};
    });
  }

  Co<AttemptOutcome> dialOnce(RankNumber peer, std::string address) {
    auto parsed = co_await network_.parseAddress(address.c_str());
    auto stream = co_await timer_.timeoutAfter(GroupChannel::DEADLINE, parsed->connect());
    auto channel = kj::heap<GroupChannel>(kj::mv(stream), timer_);
    Introduction introduction;
    introduction.ref = task_.ref;
    introduction.worldSize = task_.worldSize;
    introduction.to = peer;
    introduction.purpose = Purpose::DATA;
    AttemptOutcome outcome =
        co_await introduce(*channel, random_, task_.secret, kj::mv(introduction));
    if (outcome.attempt == Attempt::WELCOME) keep(peer, channel->release());
    co_return kj::mv(outcome);
  }

  void keep(RankNumber rank, kj::Own<kj::AsyncIoStream> stream) {
    connections_.insert_or_assign(rank, takeSocket(kj::mv(stream)));
    missing_.erase(rank);
    finishWhenComplete();
  }

  void finishWhenComplete() {
    if (asked_ && missing_.empty()) all_.fulfiller->fulfill(Done{});
  }

  std::string missingText() const {
    std::string missing;
    for (RankNumber rank : missing_) {
      missing += (missing.empty() ? "rank " : ", rank ") + std::to_string(rank.value);
    }
    return "no data connection to " + missing + " within " + toText(task_.joinTimeout) +
           (trouble_.empty() ? "" : ": " + trouble_);
  }

  kj::Network& network_;
  kj::Timer& timer_;
  Random& random_;
  GroupTask task_;
  kj::Own<kj::ConnectionReceiver> receiver_;
  std::string address_;
  kj::PromiseFulfillerPair<Result<Done>> all_;
  Connections connections_;
  std::set<RankNumber> missing_;
  std::string trouble_;
  bool asked_ = false;
  uint32_t pending_ = 0;
  Tasks tasks_;
};

}  // namespace

kj::Promise<kj::Own<DataPort>> openDataPort(kj::Network& network, kj::Timer& timer, Random& random,
                                            GroupTask task, std::string address) {
  return network.parseAddress(address.c_str(), 0)
      .then([&network, &timer, &random, task = std::move(task),
             address](kj::Own<kj::NetworkAddress> parsed) mutable -> kj::Own<DataPort> {
        return kj::heap<Port>(network, timer, random, std::move(task), parsed->listen(), address);
      });
}

}  // namespace muster::worker
