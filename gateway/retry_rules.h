// What follows when a replica failed a request. Pure.
#pragma once

#include <cstdint>

namespace muster::gateway {

// How an attempt ended badly, before the client was sent anything of it or after.
enum class Failure : uint8_t {
  CONNECT,      // nobody listens, no TLS, or not in time: the request was not sent
  STALE,        // a kept connection turned out to be closed, before any byte of an answer
  NO_ANSWER,    // the connection ended before any byte of an answer
  BUSY,         // it answered 503 or 429: it has not begun
  FIRST_BYTE,   // no answer within the deadline: it may well be at work
  BAD_ANSWER,   // what it said is no HTTP
  BROKEN,       // the answer ended early, or paused for too long
  OUT_OF_TIME,  // the deadline of the request
};

enum class Next : uint8_t {
  SAME_AGAIN,  // a new connection to the same replica; does not count as a retry
  ELSEWHERE,   // another replica, once
  GIVE_UP,
};

struct AttemptView {
  uint32_t retries = 0;    // elsewhere, so far
  bool answering = false;  // the client was sent a part of the answer
};

// A request is sent again only while nothing of an answer was seen, once. Completions change
// nothing on a replica, so that one that may have begun there is merely work for nothing; one that
// is likely at work for real (FIRST_BYTE) is not doubled.
constexpr Next afterFailure(Failure failure, AttemptView attempt) {
  if (attempt.answering) return Next::GIVE_UP;
  switch (failure) {
    case Failure::STALE:
      return Next::SAME_AGAIN;
    case Failure::CONNECT:
    case Failure::NO_ANSWER:
    case Failure::BUSY:
      return attempt.retries == 0 ? Next::ELSEWHERE : Next::GIVE_UP;
    default:
      return Next::GIVE_UP;
  }
}

// Whether it speaks against the replica. A busy one is well.
constexpr bool isFault(Failure failure) {
  return failure != Failure::STALE && failure != Failure::BUSY && failure != Failure::OUT_OF_TIME;
}

}  // namespace muster::gateway
