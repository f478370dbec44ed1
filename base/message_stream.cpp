#include "base/message_stream.h"

#include <capnp/serialize.h>
#include <kj/vector.h>

namespace muster {
namespace {

class JoiningMessageStream final : public MessageStreamBase {
 public:
  explicit JoiningMessageStream(kj::Own<kj::AsyncIoStream> stream)
      : stream_(kj::mv(stream)), inner_(*stream_) {}

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fdSpace, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratchSpace) override {
    return inner_.tryReadMessage(fdSpace, options, scratchSpace);
  }

  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> /*fds*/,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    auto flat = capnp::messageToFlatArray(segments);
    auto bytes = flat.asBytes();
    return stream_->write(bytes.begin(), bytes.size()).attach(kj::mv(flat));
  }

  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    kj::Vector<kj::byte> all;  // words cannot be copied by every compiler
    for (auto& segments : messages) all.addAll(capnp::messageToFlatArray(segments).asBytes());
    auto bytes = all.releaseAsArray();
    return stream_->write(bytes.begin(), bytes.size()).attach(kj::mv(bytes));
  }

  kj::Maybe<int> getSendBufferSize() override { return inner_.getSendBufferSize(); }
  kj::Promise<void> end() override { return inner_.end(); }

 private:
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::AsyncIoMessageStream inner_;
};

}  // namespace

kj::Own<capnp::MessageStream> makeMessageStream(kj::Own<kj::AsyncIoStream> stream) {
  return kj::heap<JoiningMessageStream>(kj::mv(stream));
}

}  // namespace muster
