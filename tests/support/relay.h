// A line between two programs that can be cut: connections stay open and carry nothing any more, as
// on a network that loses every packet.
#pragma once

#include "base/event_loop.h"
#include "base/tasks.h"

#include <kj/async-io.h>

#include <string>
#include <vector>

namespace muster::support {

class Relay {
 public:
  // Listens on a port of the kernel's and carries everything to `target` and back.
  Relay(EventLoop& loop, std::string target);
  KJ_DISALLOW_COPY(Relay);

  const std::string& address() const { return address_; }
  void cut();
  // What was held back is lost: the connections of before break.
  void heal();

 private:
  struct Line {
    kj::Own<kj::AsyncIoStream> near;
    kj::Own<kj::AsyncIoStream> far;
    kj::Promise<void> carrying = nullptr;
    bool over = false;
  };

  kj::Promise<void> acceptAll();
  void carry(kj::Own<kj::AsyncIoStream> near);

  EventLoop& loop_;
  std::string target_;
  std::string address_;
  kj::Own<kj::ConnectionReceiver> receiver_;
  bool isCut_ = false;
  std::vector<kj::Own<Line>> lines_;
  Tasks tasks_;
};

}  // namespace muster::support
