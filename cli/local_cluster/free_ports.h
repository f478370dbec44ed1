// Ports of this machine that nobody uses. They are held until this object goes, so that none is
// given twice.
#pragma once

#include <kj/io.h>

#include <cstdint>
#include <vector>

namespace muster::cli {

// Whether nobody listens on `port` of 127.0.0.1.
bool isFree(uint16_t port);

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

class FreePorts {
 public:
  // The kernel's choice on 127.0.0.1. Throws when there is none.
  uint16_t any();
  // `port` if it is free, else any().
  uint16_t preferred(uint16_t port);

 private:
  std::vector<kj::AutoCloseFd> held_;
};

}  // namespace muster::cli
