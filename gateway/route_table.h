// Which models there are and where each is served: the gateway's view of the cluster. A value; the
// newest one is shared by all who read it. Pure.
#pragma once

#include "gateway/route.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace muster::gateway {

using RoutePointer = std::shared_ptr<const Route>;

struct Model {
  std::string name;
  std::vector<RoutePointer> routes;  // by id; never empty
  // What the deployments of its routes ask for; nothing: nobody does, or not all the same.
  std::optional<Balance> balance;
};

// What one event of the coordinators' stream says.
struct RouteEvent {
  enum class Kind { SNAPSHOT, CHANGE };
  Kind kind = Kind::SNAPSHOT;
  ViewPosition position;
  std::map<std::string, Route> changed;  // by id; of a snapshot: all there are
  std::vector<std::string> removed;
};

class RouteTable {
 public:
  // OLD: something newer was taken before. FOREIGN: it is of another cluster's log, whose history
  // has the number of ours; somebody must look.
  enum class Taken { YES, OLD, FOREIGN };

  // Never takes a lower index of a history, nor a lower history. A change must be taken from the
  // stream that gave what it rests on.
  Taken take(RouteEvent event);

  const std::optional<ViewPosition>& position() const { return position_; }
  const std::map<std::string, RoutePointer>& routes() const { return routes_; }
  // By name, else by alias; nothing when nobody serves it. Replicas of all deployments that have an
  // alias serve it. The pointer holds as long as the table.
  const Model* find(std::string_view name) const;
  // Names and aliases, sorted.
  std::vector<std::string> names() const;

 private:
  Taken judge(const ViewPosition& position) const;
  void index();

  std::optional<ViewPosition> position_;
  std::map<std::string, RoutePointer> routes_;
  std::map<std::string, Model, std::less<>> models_;
};

}  // namespace muster::gateway
