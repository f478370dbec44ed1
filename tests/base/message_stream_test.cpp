#include "base/message_stream.h"

#include <capnp/schema.capnp.h>
#include <capnp/serialize-async.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <kj/debug.h>

#include <algorithm>
#include <string>
#include <vector>

namespace muster::message_stream_test {
namespace {

// Keeps what is written, by write; each write ends when the test says so.
class WrittenStream final : public kj::AsyncIoStream {
 public:
  explicit WrittenStream(std::vector<std::string>& written) : written_(written) {}
  virtual ~WrittenStream() noexcept(false) = default;

  kj::Promise<void> write(const void* buffer, size_t size) override {
    written_.emplace_back(static_cast<const char*>(buffer), size);
    if (fails) return KJ_EXCEPTION(DISCONNECTED, "the peer is gone");
    auto done = kj::newPromiseAndFulfiller<void>();
    underWay = kj::mv(done.fulfiller);
    return kj::mv(done.promise);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>) override {
    KJ_FAIL_ASSERT("pieces are joined before");
  }
  kj::Promise<size_t> tryRead(void*, size_t, size_t) override { return kj::NEVER_DONE; }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }
  void shutdownWrite() override { isShut = true; }

  bool fails = false;
  bool isShut = false;
  kj::Own<kj::PromiseFulfiller<void>> underWay;

 private:
  std::vector<std::string>& written_;
};

class MessageStreamTest : public testing::Test {
 public:
  ~MessageStreamTest() noexcept override = default;

 protected:
  MessageStreamTest() {
    auto owned = kj::heap<WrittenStream>(written);
    raw = owned.get();
    stream = makeMessageStream(kj::mv(owned));
  }
  kj::Promise<void> write(const std::string& text) { return write(*stream, text); }
  static kj::Promise<void> write(capnp::MessageStream& to, const std::string& text) {
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::schema::Node>().setDisplayName(text.c_str());
    return to.writeMessage(message);
  }
  void turn() {
    kj::evalLater([] {}).wait(scope), scope.poll();
  }
  // The texts of the messages in these bytes.
  static std::vector<std::string> textsIn(const std::string& bytes) {
    kj::Array<capnp::word> words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::copy(bytes.begin(), bytes.end(), words.asBytes().begin());
    std::vector<std::string> texts;
    kj::ArrayPtr<const capnp::word> left = words;
    while (left.size() > 0) {
      capnp::FlatArrayMessageReader reader(left);
      texts.emplace_back(reader.getRoot<capnp::schema::Node>().getDisplayName().cStr());
      left = kj::arrayPtr(reader.getEnd(), left.end());
    }
    return texts;
  }

  kj::EventLoop loop;
  kj::WaitScope scope{loop};
  std::vector<std::string> written;
  WrittenStream* raw = nullptr;
  kj::Own<capnp::MessageStream> stream;
};

using Texts = std::vector<std::string>;

TEST_F(MessageStreamTest, messagesOfOneTurnAreOneWrite) {
  auto first = write("finish");
  auto second = write("call");
  EXPECT_TRUE(first.poll(scope));  // whoever writes one after the other is not made to wait
  EXPECT_TRUE(second.poll(scope));
  turn();
  ASSERT_EQ(written.size(), 1u);
  EXPECT_EQ(textsIn(written[0]), (Texts{"finish", "call"}));
}

TEST_F(MessageStreamTest, streamsSendInTheOrderInWhichTheyGotSomethingToSend) {
  auto other = makeMessageStream(kj::heap<WrittenStream>(written));
  auto third = makeMessageStream(kj::heap<WrittenStream>(written));
  auto gone = makeMessageStream(kj::heap<WrittenStream>(written));
  auto ignored = write(*gone, "nobody is told this");
  auto first = write("one");
  auto second = write(*other, "two");
  auto last = write(*third, "three");
  gone = nullptr;
  turn();
  ASSERT_EQ(written.size(), 3u);
  EXPECT_EQ(textsIn(written[0]), (Texts{"one"}));
  EXPECT_EQ(textsIn(written[1]), (Texts{"two"}));
  EXPECT_EQ(textsIn(written[2]), (Texts{"three"}));
}

TEST_F(MessageStreamTest, whatComesDuringAWriteIsTheNextOne) {
  auto first = write("one");
  turn();
  auto second = write("two");
  auto third = write("three");
  turn();
  EXPECT_EQ(written.size(), 1u);
  raw->underWay->fulfill();
  turn();
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(textsIn(written[1]), (Texts{"two", "three"}));
}

TEST_F(MessageStreamTest, whoeverWritesMoreThanTheOtherEndTakesWaits) {
  std::string large(100'000, 'x');
  auto first = write(large);
  EXPECT_TRUE(first.poll(scope));
  auto second = write(large);
  auto third = write(large);
  auto fourth = write(large);
  EXPECT_TRUE(second.poll(scope));
  EXPECT_FALSE(fourth.poll(scope));
  raw->underWay->fulfill();
  turn();
  raw->underWay->fulfill();
  EXPECT_TRUE(fourth.poll(scope));
}

TEST_F(MessageStreamTest, theEndComesBehindWhatWasWritten) {
  auto last = write("last");
  auto end = stream->end();
  EXPECT_FALSE(end.poll(scope));
  EXPECT_FALSE(raw->isShut);
  raw->underWay->fulfill();
  EXPECT_TRUE(end.poll(scope));
  EXPECT_TRUE(raw->isShut);
}

TEST_F(MessageStreamTest, aWriteThatFailsIsToldToTheNextOneAndToTheEnd) {
  raw->fails = true;
  auto lost = write("lost");
  turn();
  auto gone = [&](kj::Promise<void> promise) {
    auto failure = kj::runCatchingExceptions([&] { promise.wait(scope); });
    return failure != nullptr;
  };
  EXPECT_FALSE(gone(kj::mv(lost)));
  EXPECT_TRUE(gone(write("next")));
  EXPECT_TRUE(gone(stream->end()));
  EXPECT_EQ(written.size(), 1u);
}

}  // namespace
}  // namespace muster::message_stream_test
