// Who of the clusters on this machine has the documented ports.
#pragma once

#include <kj/io.h>

namespace muster::cli {

// The right to take the documented HTTP ports. A cluster that took them holds it as long as its
// supervisor lives: while it starts, and while a coordinator that died is started again, another
// `muster up` of this machine would find them free.
class FirstPortClaim {
 public:
  FirstPortClaim();
  bool held() const { return lock_.get() >= 0; }
  int fd() const { return lock_.get(); }  // a process that inherits it holds the claim as well

 private:
  kj::AutoCloseFd lock_;
};

}  // namespace muster::cli
