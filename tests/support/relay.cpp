#include "tests/support/relay.h"

namespace muster::support {

Relay::Relay(EventLoop& loop, std::string target)
    : loop_(loop), target_(std::move(target)), tasks_("relay") {
  auto here = loop_.network().parseAddress("127.0.0.1:0").wait(loop_.waitScope());
  receiver_ = here->listen();
  address_ = "127.0.0.1:" + std::to_string(receiver_->getPort());
  tasks_.add(acceptAll());
}

kj::Promise<void> Relay::acceptAll() {
  return receiver_->accept().then([this](kj::Own<kj::AsyncIoStream> near) {
    std::erase_if(lines_, [](const kj::Own<Line>& line) { return line->over; });
    carry(kj::mv(near));
    return acceptAll();
  });
}

void Relay::carry(kj::Own<kj::AsyncIoStream> near) {
  lines_.push_back(kj::heap<Line>());
  Line& line = *lines_.back();
  line.near = kj::mv(near);
  if (isCut_) return;
  line.carrying =
      loop_.network()
          .parseAddress(target_.c_str())
          .then([](kj::Own<kj::NetworkAddress> there) {
            return there->connect().attach(kj::mv(there));
          })
          .then([&line](kj::Own<kj::AsyncIoStream> far) {
            line.far = kj::mv(far);
            return line.near->pumpTo(*line.far).exclusiveJoin(line.far->pumpTo(*line.near));
          })
          .then([](uint64_t) {}, [](kj::Exception&&) {})
          .then([&line] {
            line.over = true;
            line.near->shutdownWrite();
            if (line.far.get() != nullptr) line.far->shutdownWrite();
          })
          .eagerlyEvaluate([](kj::Exception&&) {});
}

void Relay::cut() {
  isCut_ = true;
  for (auto& line : lines_) line->carrying = nullptr;
}

void Relay::heal() {
  isCut_ = false;
  lines_.clear();
}

}  // namespace muster::support
