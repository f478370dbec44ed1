#include "base/co.h"
#include "base/kj_time.h"
#include "base/tasks.h"
#include "worker/engine/native/group.h"
#include "worker/engine/native/group_channel.h"
#include "worker/engine/native/group_handshake.h"

#include <kj/debug.h>

#include <map>
#include <utility>

namespace muster::worker {
namespace {

class Host final : public GroupHost {
 public:
  Host(kj::Timer& timer, Random& random, GroupTask task, kj::Own<kj::ConnectionReceiver> receiver,
       std::string address)
      : timer_(timer),
        random_(random),
        task_(std::move(task)),
        receiver_(kj::mv(receiver)),
        rendezvous_(address + ":" + std::to_string(receiver_->getPort())),
        all_(kj::newPromiseAndFulfiller<void>()),
        broken_(kj::newPromiseAndFulfiller<std::string>()),
        cards_(task_.worldSize),
        tasks_("rank group") {
    cards_[task_.ref.rank.value] = task_.card;
    tasks_.add(acceptLoop());
    startWhenComplete();
  }

  std::string rendezvous() const override { return rendezvous_; }

  kj::Promise<Result<Done>> joined() override {
    auto complete = all_.promise.then([]() -> Result<Done> { return Done{}; });
    auto late = timer_.afterDelay(toKj(task_.joinTimeout)).then([this]() -> Result<Done> {
      return Refusal{.code = RefusalCode::JOIN_TIMEOUT, .text = missingText()};
    });
    return complete.exclusiveJoin(kj::mv(late));
  }

  kj::Promise<std::string> broken() override { return kj::mv(broken_.promise); }
  const std::vector<RankCard>& cards() const override { return cards_; }

  std::vector<RankNumber> present() const override {
    std::vector<RankNumber> ranks{task_.ref.rank};
    for (const auto& [rank, channel] : members_) ranks.push_back(rank);
    return ranks;
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

  Judgement judge(const Introduction& one) const {
    Judgement judgement = judgeIntroduction(one, task_.ref, task_.worldSize);
    if (judgement.verdict != Verdict::TALK || one.purpose == Purpose::RENDEZVOUS) return judgement;
    return {Verdict::REFUSE, "this is the rendezvous"};
  }

  // One member from its hello to its welcome. What fails here fails for that connection only.
  Co<void> meet(kj::Own<kj::AsyncIoStream> stream) {
    auto channel = kj::heap<GroupChannel>(kj::mv(stream), timer_);
    auto admitted = co_await admit(*channel, random_, task_.secret,
                                   [this](const Introduction& one) { return judge(one); });
    if (!admitted) co_return;
    co_await channel->send([](schema::GroupMessage::Builder out) { out.setWelcome(); });
    RankNumber rank = admitted->ref.rank;
    cards_[rank.value] = kj::mv(admitted->card);
    welcome(rank, kj::mv(channel));
  }

  struct Member {
    kj::Own<GroupChannel> channel;
    uint64_t ticket = 0;               // tells this connection from the rank's next one
    kj::Promise<void> life = nullptr;  // goes before the channel it reads from, as `told` does
    kj::Own<Tasks> told = kj::heap<Tasks>("telling a rank of its group");
  };

  void welcome(RankNumber rank, kj::Own<GroupChannel> channel) {
    uint64_t ticket = ++tickets_;
    kj::Promise<void> life = keepAlive(*channel);
    kj::Promise<void> listening = listen(*channel);
    life = life.exclusiveJoin(kj::mv(listening))
               .catch_([this, rank, ticket](kj::Exception&&) { left(rank, ticket); })
               .eagerlyEvaluate(nullptr);
    members_.erase(rank);  // a rank that comes again replaces its dead connection
    members_.emplace(rank, Member{kj::mv(channel), ticket, kj::mv(life)});
    startWhenComplete();
  }

  Co<void> keepAlive(GroupChannel& channel) {
    for (;;) {
      co_await channel.send([](schema::GroupMessage::Builder out) { out.setAlive(); });
      co_await timer_.afterDelay(GROUP_ALIVE_INTERVAL);
    }
  }

  Co<void> listen(GroupChannel& channel) {
    for (;;) (void)co_await channel.receive(GROUP_SILENCE_MAX);
  }

  bool isCurrent(RankNumber rank, uint64_t ticket) const {
    auto member = members_.find(rank);
    return member != members_.end() && member->second.ticket == ticket;
  }

  void left(RankNumber rank, uint64_t ticket) {
    // Called by the member's own promise, which must not be destroyed from inside: one turn later.
    tasks_.add(kj::evalLater([this, rank, ticket] {
      if (isCurrent(rank, ticket)) members_.erase(rank);
    }));
    if (!started_) return;
    std::string why = "rank " + std::to_string(rank.value) + " left the group";
    tellAll([&why](schema::GroupMessage::Builder out) { out.setBroken(why.c_str()); });
    broken_.fulfiller->fulfill(std::move(why));
  }

  void startWhenComplete() {
    if (started_ || members_.size() + 1 < task_.worldSize) return;
    started_ = true;
    tellAll([this](schema::GroupMessage::Builder out) {
      auto cards = out.initBegin(task_.worldSize);
      for (uint32_t rank = 0; rank < task_.worldSize; ++rank) encode(cards_[rank], cards[rank]);
    });
    all_.fulfiller->fulfill();
  }

  // A member that cannot be told has left, which its own promise notices.
  template <class Fill>
  void tellAll(Fill fill) {
    for (auto& [rank, member] : members_) {
      member.told->add(member.channel->send(fill).catch_([](kj::Exception&&) {}));
    }
  }

  std::string missingText() const {
    std::string missing;
    for (uint32_t rank = 1; rank < task_.worldSize; ++rank) {
      if (members_.count({rank}) == 0) {
        missing += (missing.empty() ? "rank " : ", rank ") + std::to_string(rank);
      }
    }
    return std::to_string(members_.size() + 1) + " of " + std::to_string(task_.worldSize) +
           " joined within " + toText(task_.joinTimeout) + "; missing " + missing;
  }

  kj::Timer& timer_;
  Random& random_;
  GroupTask task_;
  kj::Own<kj::ConnectionReceiver> receiver_;
  std::string rendezvous_;
  kj::PromiseFulfillerPair<void> all_;
  kj::PromiseFulfillerPair<std::string> broken_;
  std::vector<RankCard> cards_;
  std::map<RankNumber, Member> members_;
  uint64_t tickets_ = 0;
  uint32_t pending_ = 0;
  bool started_ = false;
  Tasks tasks_;
};

}  // namespace

kj::Promise<kj::Own<GroupHost>> hostGroup(kj::Network& network, kj::Timer& timer, Random& random,
                                          GroupTask task, std::string address) {
  return network.parseAddress(address.c_str(), 0)
      .then([&timer, &random, task = std::move(task),
             address](kj::Own<kj::NetworkAddress> parsed) mutable -> kj::Own<GroupHost> {
        auto receiver = parsed->listen();
        return kj::heap<Host>(timer, random, std::move(task), kj::mv(receiver), std::move(address));
      });
}

}  // namespace muster::worker
