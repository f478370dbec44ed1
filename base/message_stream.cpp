#include "base/message_stream.h"

#include <capnp/serialize.h>
#include <kj/io.h>

#include <utility>
#include <vector>

namespace muster {
namespace {

// A writer is asked to wait above this.
constexpr size_t UNSENT_MAX = 256 << 10;

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
    add(segments);
    return accepted();
  }
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    for (auto& segments : messages) add(segments);
    return accepted();
  }

  kj::Maybe<int> getSendBufferSize() override { return inner_.getSendBufferSize(); }
  kj::Promise<void> end() override {
    return allSent().then([this] { return inner_.end(); });
  }

 private:
  void add(kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
    if (unsent_.get() == nullptr) {
      size_t bytes = capnp::computeSerializedSizeInWords(segments) * sizeof(capnp::word);
      unsent_ = kj::heap<kj::VectorOutputStream>(bytes);
    }
    capnp::writeMessage(*unsent_, segments);
  }

  // A message that waits for the end of the turn counts as written: whoever writes more in this
  // turn is not made to wait for it.
  kj::Promise<void> accepted() {
    KJ_IF_MAYBE (failure, failure_) {
      unsent_ = nullptr;
      return kj::cp(*failure);
    }
    if (!std::exchange(sending_, true)) {
      sender_ = kj::evalLast([this] {
                  return send();
                }).eagerlyEvaluate([this](kj::Exception&& why) { over(kj::mv(why)); });
    }
    if (unsent_->getArray().size() < UNSENT_MAX) return kj::READY_NOW;
    return allSent();
  }

  kj::Promise<void> send() {
    if (unsent_.get() == nullptr) {
      sending_ = false;
      for (auto& waiter : std::exchange(waiters_, {})) waiter->fulfill();
      return kj::READY_NOW;
    }
    auto bytes = kj::mv(unsent_);
    auto written = stream_->write(bytes->getArray().begin(), bytes->getArray().size());
    return written.attach(kj::mv(bytes)).then([this] { return send(); });
  }

  kj::Promise<void> allSent() {
    KJ_IF_MAYBE (failure, failure_) return kj::cp(*failure);
    if (!sending_) return kj::READY_NOW;
    auto sent = kj::newPromiseAndFulfiller<void>();
    waiters_.push_back(kj::mv(sent.fulfiller));
    return kj::mv(sent.promise);
  }

  void over(kj::Exception why) {
    unsent_ = nullptr;
    for (auto& waiter : std::exchange(waiters_, {})) waiter->reject(kj::cp(why));
    failure_ = kj::mv(why);
  }

  kj::Own<kj::AsyncIoStream> stream_;
  capnp::AsyncIoMessageStream inner_;
  kj::Own<kj::VectorOutputStream> unsent_;  // null: nothing
  bool sending_ = false;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiters_;  // until nothing is unsent
  kj::Maybe<kj::Exception> failure_;
  kj::Promise<void> sender_ = nullptr;
};

}  // namespace

kj::Own<capnp::MessageStream> makeMessageStream(kj::Own<kj::AsyncIoStream> stream) {
  return kj::heap<JoiningMessageStream>(kj::mv(stream));
}

}  // namespace muster
