#include "base/message_stream.h"

#include <capnp/serialize.h>
#include <kj/io.h>

#include <deque>
#include <utility>
#include <vector>

namespace muster {
namespace {

// A writer is asked to wait above this.
constexpr size_t UNSENT_MAX = 256 << 10;

// Streams of this thread's event loop that have something to send at the end of the turn. They send
// in the order in which they got it: what kj does last it does in reverse, and under load the first
// would wait for as long as others have more.
class JoiningMessageStream;
std::deque<JoiningMessageStream*>& endOfTurn() {
  thread_local std::deque<JoiningMessageStream*> streams;
  return streams;
}

class JoiningMessageStream final : public MessageStreamBase {
 public:
  explicit JoiningMessageStream(kj::Own<kj::AsyncIoStream> stream)
      : stream_(kj::mv(stream)), inner_(*stream_) {}
  ~JoiningMessageStream() noexcept(false) override { std::erase(endOfTurn(), this); }
  KJ_DISALLOW_COPY(JoiningMessageStream);

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
      endOfTurn().push_back(this);
      turn_ = kj::evalLast([] { sendAll(); }).eagerlyEvaluate(nullptr);
    }
    if (unsent_->getArray().size() < UNSENT_MAX) return kj::READY_NOW;
    return allSent();
  }

  // The first stream whose turn ends sends for all.
  static void sendAll() {
    for (JoiningMessageStream* stream : std::exchange(endOfTurn(), {})) stream->start();
  }
  void start() {
    sender_ = kj::evalNow([this] { return send(); }).eagerlyEvaluate([this](kj::Exception&& why) {
      over(kj::mv(why));
    });
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
  kj::Promise<void> turn_ = nullptr;  // its end
  kj::Promise<void> sender_ = nullptr;
};

}  // namespace

kj::Own<capnp::MessageStream> makeMessageStream(kj::Own<kj::AsyncIoStream> stream) {
  return kj::heap<JoiningMessageStream>(kj::mv(stream));
}

}  // namespace muster
