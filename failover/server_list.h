// The list of ZooKeeper servers we are given must be the ensemble's own: a client that knows other
// servers than the ensemble has may follow a server of another one.
#pragma once

#include "base/result.h"
#include "failover/coordination.h"

#include <kj/async.h>

#include <string>
#include <string_view>
#include <vector>

namespace muster::failover {

// "10.0.0.1:2181,[::1]:2181" to its parts. Refuses INVALID_VALUE what is not an IP address with a
// port, or a repeat.
Result<std::vector<std::string>> parseServerList(std::string_view text);

// Compares the list with the content of /zookeeper/config
// ("server.1=10.0.0.1:2888:3888:participant;10.0.0.1:2181" lines; none for a server of its own).
// Refuses INVALID_VALUE and names what differs. Hosts are compared, and client ports where the
// ensemble states them.
Result<Done> compareServerList(const std::string& config, const std::vector<std::string>& servers);

// The same against the ensemble that `session` is connected to. Refuses STORE_UNREACHABLE when it
// cannot be read.
kj::Promise<Result<Done>> verifyServerList(CoordinationSession& session,
                                           std::vector<std::string> servers);

}  // namespace muster::failover
