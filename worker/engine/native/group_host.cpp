#include "base/co.h"
#include "base/kj_time.h"
#include "base/tasks.h"
#include "protocol/codec.h"
#include "worker/engine/native/group.h"
#include "worker/engine/native/group_channel.h"
#include "worker/engine/native/group_proof.h"

#include <kj/debug.h>

#include <cstring>
#include <map>
#include <utility>

namespace muster::worker {
namespace {

constexpr uint32_t PENDING_MAX = 256;  // connections that have not proved themselves yet
constexpr kj::Duration ALIVE_INTERVAL = 1 * kj::SECONDS;
constexpr kj::Duration SILENCE_MAX = 10 * kj::SECONDS;

// What a hello is answered with before any proof is asked.
enum class Verdict { TALK, WAIT, REFUSE };

struct Judgement {
  Verdict verdict;
  std::string why;
};

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
        tasks_("rank group") {
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

  std::vector<RankNumber> present() const override {
    std::vector<RankNumber> ranks{task_.ref.rank};
    for (const auto& [rank, channel] : members_) ranks.push_back(rank);
    return ranks;
  }

 private:
  Co<void> acceptLoop() {
    for (;;) {
      auto stream = co_await receiver_->accept();
      if (pending_ >= PENDING_MAX) continue;  // dropping the stream closes it
      ++pending_;
      kj::Promise<void> meeting = meet(kj::mv(stream));
      tasks_.add(meeting.attach(kj::defer([this] { --pending_; })));
    }
  }

  Judgement judge(schema::GroupMessage::Hello::Reader hello) const {
    RankRef ref = decode(hello.getRef());
    if (hello.getVersion() != 1) return {Verdict::REFUSE, "unknown version of the group protocol"};
    if (ref.deployment != task_.ref.deployment || ref.replica != task_.ref.replica) {
      return {Verdict::REFUSE, "another replica meets here"};
    }
    if (ref.generation < task_.ref.generation) {
      return {Verdict::REFUSE, "generation " + std::to_string(ref.generation.value) +
                                   " is over, generation " +
                                   std::to_string(task_.ref.generation.value) + " meets here"};
    }
    if (ref.generation > task_.ref.generation) return {Verdict::WAIT, ""};
    if (hello.getWorldSize() != task_.worldSize || ref.rank.value == 0 ||
        ref.rank.value >= task_.worldSize) {
      return {Verdict::REFUSE, "rank " + std::to_string(ref.rank.value) + " of " +
                                   std::to_string(hello.getWorldSize()) +
                                   " does not belong to this group of " +
                                   std::to_string(task_.worldSize)};
    }
    if (hello.getNonce().size() != Nonce{}.size()) return {Verdict::REFUSE, "a nonce has 32 bytes"};
    return {Verdict::TALK, ""};
  }

  // One member from its hello to its welcome. What fails here fails for that connection only.
  Co<void> meet(kj::Own<kj::AsyncIoStream> stream) {
    auto channel = kj::heap<GroupChannel>(kj::mv(stream), timer_);
    auto message = co_await channel->receive();
    auto root = message->getRoot<schema::GroupMessage>();
    if (!root.isHello()) co_return;
    auto hello = root.getHello();
    Judgement judgement = judge(hello);
    if (judgement.verdict != Verdict::TALK) {
      co_await channel->send([&judgement](schema::GroupMessage::Builder out) {
        if (judgement.verdict == Verdict::WAIT) {
          out.setWait();
        } else {
          out.setRefused(judgement.why.c_str());
        }
      });
      co_return;
    }
    RankRef ref = decode(hello.getRef());
    bool proved = co_await challenge(*channel, ref, hello.getNonce());
    if (!proved) co_return;
    co_await channel->send([](schema::GroupMessage::Builder out) { out.setWelcome(); });
    welcome(ref.rank, kj::mv(channel));
  }

  // Shows our proof and asks for the member's. False, and the member told, when it does not know
  // the secret.
  Co<bool> challenge(GroupChannel& channel, RankRef ref, capnp::Data::Reader memberNonce) {
    ProofInput input{
        .side = "host", .ref = ref, .memberNonce = {}, .hostNonce = drawNonce(random_)};
    std::memcpy(input.memberNonce.data(), memberNonce.begin(), input.memberNonce.size());
    Proof ours = makeProof(task_.secret, input);
    co_await channel.send([&input, &ours](schema::GroupMessage::Builder out) {
      auto challenge = out.initChallenge();
      challenge.setNonce({input.hostNonce.data(), input.hostNonce.size()});
      challenge.setProof({ours.data(), ours.size()});
    });
    input.side = "member";
    auto answer = co_await channel.receive();
    auto root = answer->getRoot<schema::GroupMessage>();
    if (!root.isProof()) co_return false;
    auto proof = root.getProof();
    bool good = sameProof(makeProof(task_.secret, input), {proof.begin(), proof.size()});
    if (!good) {
      KJ_LOG(WARNING, "a rank without the secret of this generation was refused", ref.rank.value);
      co_await channel.send(
          [](schema::GroupMessage::Builder out) { out.setRefused("the proof is wrong"); });
    }
    co_return good;
  }

  struct Member {
    kj::Own<GroupChannel> channel;
    uint64_t ticket = 0;               // tells this connection from the rank's next one
    kj::Promise<void> life = nullptr;  // declared last: goes before the channel it reads from
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
      co_await timer_.afterDelay(ALIVE_INTERVAL);
    }
  }

  Co<void> listen(GroupChannel& channel) {
    for (;;) (void)co_await channel.receive(SILENCE_MAX);
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
    if (started_) {
      broken_.fulfiller->fulfill("rank " + std::to_string(rank.value) + " left the group");
    }
  }

  void startWhenComplete() {
    if (started_ || members_.size() + 1 < task_.worldSize) return;
    started_ = true;
    for (auto& [rank, member] : members_) {
      auto sent = member.channel->send([](schema::GroupMessage::Builder out) { out.setStart(); });
      tasks_.add(sent.catch_([](kj::Exception&&) {}));
    }
    all_.fulfiller->fulfill();
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
