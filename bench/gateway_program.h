// A gateway as a child process of a benchmark, with a folder and a PKI of its own.
#pragma once

#include "base/tls_transport.h"
#include "bench/bench_folder.h"

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace muster::bench {

// A program that listens on a port of 127.0.0.1; it ends with this object.
class ListeningProgram {
 public:
  // Waits until it listens.
  ListeningProgram(pid_t pid, uint16_t port);
  ~ListeningProgram();
  ListeningProgram(const ListeningProgram&) = delete;
  ListeningProgram& operator=(const ListeningProgram&) = delete;

  uint16_t port() const { return port_; }

 private:
  pid_t pid_;
  uint16_t port_;
};

bool listens(uint16_t port);

// The authority of cluster "bench" in `folder`, with a certificate for each of gateway/gw1 and
// coordinator/co1; gives the latter's.
TlsFiles makeBenchPki(const BenchFolder& folder);

struct GatewayProgram {
  std::string coordinator = "127.0.0.1:9";  // its HTTP address
  std::string view = {};                    // view.json, for one without coordinators
  size_t threads = 1;
};
pid_t spawnGateway(const BenchFolder& folder, const GatewayProgram& program, uint16_t port);

// One ready route to a backend of this machine, as an item of an event.
std::string routeItem(uint16_t backend, uint64_t generation);

}  // namespace muster::bench
