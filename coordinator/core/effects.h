// What reconcile wants done, as data. Lost or repeated effects do no harm: the next reconcile looks
// again.
#pragma once

#include "protocol/command.h"
#include "protocol/order.h"

#include <optional>
#include <vector>

namespace muster::coordinator {

struct NodeOrder {
  NodeName node;
  Order order;
};

struct Effects {
  std::vector<CommandBody>
      proposals;  // in order; each goes through decide, on the state the ones before have made
  std::vector<NodeOrder> orders;  // only for attached nodes whose stored or sent order differs
  std::optional<Instant> wakeAt;  // when reconcile must look again though nothing has happened
};

}  // namespace muster::coordinator
