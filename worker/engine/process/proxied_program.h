// An engine without TLS and the proxy in front of it, as one rank: the engine has the process that
// the agent started, the proxy lives beside it for as long as the engine does, whatever becomes of
// the agent.
#pragma once

#include "base/result.h"
#include "worker/engine/process/tls_proxy.h"

#include <string>
#include <vector>

namespace muster::worker {

struct ProxiedProgram {
  TlsProxyOptions proxy;
  std::vector<std::string> argv;  // argv[0] is looked up in PATH
};

inline constexpr const char* BEHIND_TLS = "--behind-tls";

// How `rankBinary` is told to run it; the limits are not passed on.
std::vector<std::string> commandOf(const std::string& rankBinary, const ProxiedProgram& program);

// The program of such a command line; `words` follow BEHIND_TLS. Refuses INVALID_VALUE.
Result<ProxiedProgram> parseProxiedProgram(const std::vector<std::string>& words);

// Becomes the program once the proxy listens. Returns an exit code when that cannot be, with the
// reason on stderr. Call it before there is any thread.
//
// The proxy is nobody's child, since a program may wait for all children that it has. It is in the
// program's process group, ignores requests to end, and goes when the program's process has ended.
int runBehindTls(const ProxiedProgram& program);

}  // namespace muster::worker
