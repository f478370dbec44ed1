#include "worker/engine/native/group_channel.h"

#include <utility>

namespace muster::worker {
namespace {

capnp::ReaderOptions smallMessages() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 1 << 14;  // the largest message has a card for each rank
  options.nestingLimit = 8;
  return options;
}

}  // namespace

kj::Promise<void> GroupChannel::write(kj::Own<capnp::MallocMessageBuilder> message) {
  auto sent = written_.addBranch().then([this, message = kj::mv(message)]() mutable {
    auto written = capnp::writeMessage(*stream_, *message);
    return timer_.timeoutAfter(DEADLINE, kj::mv(written)).attach(kj::mv(message));
  });
  written_ = sent.fork();
  return written_.addBranch();
}

kj::Promise<kj::Own<capnp::MessageReader>> GroupChannel::receive(kj::Duration patience) {
  auto read = capnp::tryReadMessage(*stream_, smallMessages());
  return timer_.timeoutAfter(patience, kj::mv(read))
      .then([](kj::Maybe<kj::Own<capnp::MessageReader>>&& message) {
        KJ_IF_MAYBE (present, message) {
          return kj::mv(*present);
        }
        kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "the other rank closed the connection"));
      });
}

}  // namespace muster::worker
