// One connection between two ranks: whole messages, small ones, each with a deadline.
#pragma once

#include "protocol/group.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize-async.h>
#include <kj/async-io.h>
#include <kj/timer.h>

#include <cstdint>
#include <string>

namespace muster::worker {

// A side that has nothing to say says so this often, and has left when nothing came for that long.
constexpr kj::Duration GROUP_ALIVE_INTERVAL = 1 * kj::SECONDS;
constexpr kj::Duration GROUP_SILENCE_MAX = 10 * kj::SECONDS;
// Connections that have not proved themselves yet; what comes beyond is closed.
constexpr uint32_t GROUP_PENDING_MAX = 256;

class GroupChannel {
 public:
  GroupChannel(kj::Own<kj::AsyncIoStream> stream, kj::Timer& timer)
      : stream_(kj::mv(stream)), timer_(timer), written_(kj::Promise<void>(kj::READY_NOW).fork()) {}

  // Fills one message and sends it behind those sent before. `fill` gets a
  // schema::GroupMessage::Builder.
  template <class Fill>
  kj::Promise<void> send(Fill&& fill) {
    auto message = kj::heap<capnp::MallocMessageBuilder>();
    fill(message->initRoot<schema::GroupMessage>());
    return write(kj::mv(message));
  }

  // The next message; one call at a time. Throws DISCONNECTED at the end, OVERLOADED when none
  // comes within `patience`.
  kj::Promise<kj::Own<capnp::MessageReader>> receive(kj::Duration patience = DEADLINE);

  // The connection itself, once nothing more is to be sent or received here.
  kj::Own<kj::AsyncIoStream> release() { return kj::mv(stream_); }

  static constexpr kj::Duration DEADLINE = 10 * kj::SECONDS;

 private:
  kj::Promise<void> write(kj::Own<capnp::MallocMessageBuilder> message);

  kj::Own<kj::AsyncIoStream> stream_;
  kj::Timer& timer_;
  // A stream takes one write at a time: each starts when the one before is done.
  kj::ForkedPromise<void> written_;
};

}  // namespace muster::worker
