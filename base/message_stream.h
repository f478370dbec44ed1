// Cap'n Proto messages over a byte stream, one write for all of a turn of the event loop.
#pragma once

#include <capnp/serialize-async.h>
#include <kj/async-io.h>

namespace muster {

// What our streams derive from: Cap'n Proto's interface has no virtual destructor, which our
// warnings refuse.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
class MessageStreamBase : public capnp::MessageStream {
 public:
  virtual ~MessageStreamBase() noexcept(false) = default;
};
#pragma GCC diagnostic pop

// Joins the pieces of a message (segment table, segments), and the messages of one turn (the end of
// one call and the next call), before they are written: through TLS each piece would else become a
// record and a packet of its own, which costs half of the calls per second. What could not be
// written is told to the next write, or to end().
kj::Own<capnp::MessageStream> makeMessageStream(kj::Own<kj::AsyncIoStream> stream);

}  // namespace muster
