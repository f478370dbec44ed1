// How two ranks of a generation come to trust each other, whatever the connection is for: the
// member says who it is, the host proves the secret, then the member does.
#pragma once

#include "base/random.h"
#include "protocol/command.h"
#include "worker/collective/communicators.h"
#include "worker/engine/native/group_channel.h"

#include <kj/async.h>

#include <functional>
#include <optional>
#include <string>

namespace muster::worker {

// What a connection between two ranks is for.
enum class Purpose : uint8_t { RENDEZVOUS, DATA };

// What the member says. Both proofs cover every word of it.
struct Introduction {
  RankRef ref;
  uint32_t worldSize = 1;
  RankNumber to;  // the rank that listens
  Purpose purpose = Purpose::RENDEZVOUS;
  RankCard card;
};

// What one attempt to be welcomed came to, and what went wrong with it.
enum class Attempt : uint8_t { WELCOME, COME_AGAIN, REFUSED };
struct AttemptOutcome {
  Attempt attempt = Attempt::COME_AGAIN;
  std::string trouble;
};

// The member's side. `channel` must outlive the promise. Throws when the connection breaks.
kj::Promise<AttemptOutcome> introduce(GroupChannel& channel, Random& random,
                                      const GroupSecret& secret, Introduction introduction);

// What a hello is answered with before any proof is asked.
enum class Verdict : uint8_t { TALK, WAIT, REFUSE };
struct Judgement {
  Verdict verdict = Verdict::TALK;
  std::string why;
};
using Judge = std::function<Judgement(const Introduction&)>;

// The host's side, up to the welcome, which it leaves to the caller. Nothing when the other end was
// sent away. All arguments but `judge` must outlive the promise. Throws when the connection breaks.
kj::Promise<std::optional<Introduction>> admit(GroupChannel& channel, Random& random,
                                               const GroupSecret& secret, Judge judge);

// The rules that hold whoever listens: the replica, the generation, the size of the world.
Judgement judgeIntroduction(const Introduction& introduction, const RankRef& listener,
                            uint32_t worldSize);

void encode(const RankCard& card, schema::GroupMessage::Card::Builder out);
RankCard decode(schema::GroupMessage::Card::Reader in);

}  // namespace muster::worker
