#include "worker/engine/native/group_handshake.h"

#include "base/co.h"
#include "protocol/codec.h"
#include "worker/engine/native/group_proof.h"

#include <kj/debug.h>

#include <cstring>
#include <utility>

namespace muster::worker {
namespace {

constexpr uint32_t VERSION = 2;

// Everything a hello says but its nonce, in one unambiguous line.
std::string statementOf(const Introduction& one) {
  const RankCard& card = one.card;
  std::string text = one.purpose == Purpose::DATA ? "data" : "rendezvous";
  text += " to " + std::to_string(one.to.value) + " world " + std::to_string(one.worldSize);
  text += " host " + std::to_string(card.host.size()) + ":" + card.host;
  text += " at " + std::to_string(card.dataAddress.size()) + ":" + card.dataAddress;
  text += " memory " + std::to_string(card.memory.pid) + "/" + std::to_string(card.memory.fd);
  return text;
}

void writeHello(const Introduction& one, const Nonce& nonce,
                schema::GroupMessage::Builder message) {
  auto hello = message.initHello();
  hello.setVersion(VERSION);
  encode(one.ref, hello.initRef());
  hello.setWorldSize(one.worldSize);
  hello.setNonce({nonce.data(), nonce.size()});
  encode(one.card, hello.initCard());
  hello.setTo(one.to.value);
  hello.setData(one.purpose == Purpose::DATA);
}

Introduction readHello(schema::GroupMessage::Hello::Reader hello) {
  Introduction one;
  one.ref = muster::decode(hello.getRef());
  one.worldSize = hello.getWorldSize();
  one.to = {hello.getTo()};
  one.purpose = hello.getData() ? Purpose::DATA : Purpose::RENDEZVOUS;
  one.card = decode(hello.getCard());
  return one;
}

ProofInput proofInput(std::string_view side, const Introduction& one, const Nonce& memberNonce) {
  return {.side = side,
          .ref = one.ref,
          .memberNonce = memberNonce,
          .hostNonce = {},
          .statement = statementOf(one)};
}

AttemptOutcome refused(std::string trouble) { return {Attempt::REFUSED, std::move(trouble)}; }

AttemptOutcome answerTo(schema::GroupMessage::Reader root) {
  switch (root.which()) {
    case schema::GroupMessage::WELCOME:
      return {Attempt::WELCOME, ""};
    case schema::GroupMessage::REFUSED:
      return refused(root.getRefused().cStr());
    case schema::GroupMessage::WAIT:
      return {Attempt::COME_AGAIN, "an older generation still meets there"};
    default:
      return {Attempt::COME_AGAIN, "an answer out of turn"};
  }
}

// The host proves the secret first: a stranger on that port learns nothing from us. Takes its
// nonce.
bool checkHost(schema::GroupMessage::Challenge::Reader challenge, const GroupSecret& secret,
               ProofInput& input) {
  auto nonce = challenge.getNonce();
  if (nonce.size() != input.hostNonce.size()) return false;
  std::memcpy(input.hostNonce.data(), nonce.begin(), nonce.size());
  auto proof = challenge.getProof();
  return sameProof(makeProof(secret, input), {proof.begin(), proof.size()});
}

Co<AttemptOutcome> introduceCo(GroupChannel& channel, Random& random, const GroupSecret& secret,
                               Introduction introduction) {
  Nonce nonce = drawNonce(random);
  co_await channel.send([&introduction, &nonce](schema::GroupMessage::Builder out) {
    writeHello(introduction, nonce, out);
  });
  auto message = co_await channel.receive();
  auto root = message->getRoot<schema::GroupMessage>();
  if (!root.isChallenge()) co_return answerTo(root);
  ProofInput input = proofInput("host", introduction, nonce);
  if (!checkHost(root.getChallenge(), secret, input)) {
    co_return refused("whoever listens there does not know the secret of this generation");
  }
  input.side = "member";
  Proof proof = makeProof(secret, input);
  co_await channel.send([&proof](schema::GroupMessage::Builder out) {
    out.setProof({proof.data(), proof.size()});
  });
  auto verdict = co_await channel.receive();
  co_return answerTo(verdict->getRoot<schema::GroupMessage>());
}

kj::Promise<void> sendAway(GroupChannel& channel, const Judgement& judgement) {
  return channel.send([&judgement](schema::GroupMessage::Builder out) {
    if (judgement.verdict == Verdict::WAIT) {
      out.setWait();
    } else {
      out.setRefused(judgement.why.c_str());
    }
  });
}

// Shows our proof and asks for the member's.
Co<bool> challenge(GroupChannel& channel, Random& random, const GroupSecret& secret,
                   ProofInput input) {
  input.hostNonce = drawNonce(random);
  Proof ours = makeProof(secret, input);
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
  bool good = sameProof(makeProof(secret, input), {proof.begin(), proof.size()});
  if (!good) {
    KJ_LOG(WARNING, "a rank without the secret of this generation was refused",
           input.ref.rank.value);
    co_await channel.send(
        [](schema::GroupMessage::Builder out) { out.setRefused("the proof is wrong"); });
  }
  co_return good;
}

Co<std::optional<Introduction>> admitCo(GroupChannel& channel, Random& random,
                                        const GroupSecret& secret, Judge judge) {
  std::optional<Introduction> nobody;
  auto message = co_await channel.receive();
  auto root = message->getRoot<schema::GroupMessage>();
  if (!root.isHello()) co_return kj::mv(nobody);
  auto hello = root.getHello();
  Introduction introduction = readHello(hello);
  Judgement judgement = judge(introduction);
  Nonce nonce{};
  if (hello.getVersion() != VERSION) {
    judgement.verdict = Verdict::REFUSE;
    judgement.why = "unknown version of the group protocol";
  } else if (hello.getNonce().size() != nonce.size()) {
    judgement.verdict = Verdict::REFUSE;
    judgement.why = "a nonce has 32 bytes";
  }
  if (judgement.verdict != Verdict::TALK) {
    co_await sendAway(channel, judgement);
    co_return kj::mv(nobody);
  }
  std::memcpy(nonce.data(), hello.getNonce().begin(), nonce.size());
  ProofInput input = proofInput("host", introduction, nonce);
  bool proved = co_await challenge(channel, random, secret, kj::mv(input));
  if (!proved) co_return kj::mv(nobody);
  std::optional<Introduction> admitted(kj::mv(introduction));
  co_return kj::mv(admitted);
}

}  // namespace

kj::Promise<AttemptOutcome> introduce(GroupChannel& channel, Random& random,
                                      const GroupSecret& secret, Introduction introduction) {
  return introduceCo(channel, random, secret, std::move(introduction));
}

kj::Promise<std::optional<Introduction>> admit(GroupChannel& channel, Random& random,
                                               const GroupSecret& secret, Judge judge) {
  return admitCo(channel, random, secret, std::move(judge));
}

Judgement judgeIntroduction(const Introduction& introduction, const RankRef& listener,
                            uint32_t worldSize) {
  const RankRef& ref = introduction.ref;
  if (ref.deployment != listener.deployment || ref.replica != listener.replica) {
    return {Verdict::REFUSE, "another replica meets here"};
  }
  if (ref.generation < listener.generation) {
    return {Verdict::REFUSE, "generation " + std::to_string(ref.generation.value) +
                                 " is over, generation " +
                                 std::to_string(listener.generation.value) + " meets here"};
  }
  if (ref.generation > listener.generation) return {Verdict::WAIT, ""};
  bool fits = introduction.worldSize == worldSize && introduction.to == listener.rank &&
              ref.rank != listener.rank && ref.rank.value < worldSize;
  if (fits) return {Verdict::TALK, ""};
  return {Verdict::REFUSE, "rank " + std::to_string(ref.rank.value) + " of " +
                               std::to_string(introduction.worldSize) +
                               " does not belong to this group of " + std::to_string(worldSize)};
}

void encode(const RankCard& card, schema::GroupMessage::Card::Builder out) {
  out.setHost(card.host.c_str());
  out.setDataAddress(card.dataAddress.c_str());
  out.setPid(static_cast<uint32_t>(card.memory.pid));
  out.setMemoryFd(card.memory.fd);
}

RankCard decode(schema::GroupMessage::Card::Reader in) {
  return {.host = in.getHost(),
          .dataAddress = in.getDataAddress(),
          .memory = {static_cast<pid_t>(in.getPid()), in.getMemoryFd()}};
}

}  // namespace muster::worker
