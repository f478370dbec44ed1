// What the commands print for people, made of a coordinator's objects. The objects are printable
// ones (json_view.h); each text ends with a line break.
#pragma once

#include "cli/json_view.h"
#include "cli/table.h"

#include <nlohmann/json.hpp>

#include <string>

namespace muster::cli {

enum class Width : uint8_t { TABLE, WIDE };

struct ViewOptions {
  WallTime now;                    // ages are counted to
  std::string tenant = "default";  // the user's; names of others show theirs
  Painter paint = plainPainter();  // for stdout
  Width width = Width::TABLE;
};

// `muster ps`: deployments as they serve.
std::string viewDeployments(const Json& items, const ViewOptions& options);
// `muster get KIND`: nodes, gpus, deployments, replicas, ranks, events or models.
std::string viewList(const std::string& kind, const Json& items, const ViewOptions& options);
std::string viewEvents(const Json& items, const ViewOptions& options);
std::string viewWhy(const Json& why, const ViewOptions& options);
// `name` as a script can give it back to Muster: "search/ranker/0/5", "gpu02:5".
std::string referenceOf(const Json& object, std::string_view ownTenant);

std::string viewPlan(const Json& plan, const ViewOptions& options);
// What apply, delete, scale, cordon, uncordon, drain and step-down did, or with --dry-run would do.
enum class Carried : uint8_t { OUT, DRY };
std::string viewChange(const Json& change, Carried carried, const ViewOptions& options);
// What the drain at `at` moves, and what blocks it and why; empty when nothing runs there.
std::string viewDrain(const Json& object, const std::string& at, const ViewOptions& options);
std::string viewLogs(const Json& logs, const ViewOptions& options);
std::string viewAdminStatus(const Json& status, const ViewOptions& options);

struct Description {
  Json object;  // a deployment, node or gpu
  Json replicas = Json::array();
  Json ranks = Json::array();
  Json gpus = Json::array();
  Json events = Json::array();
};
std::string viewDescription(const Description& description, const ViewOptions& options);

// One line of `apply --wait`: "chat-70b/1  Loading  ############------  66%  94/142 GiB  1m10s
// left".
std::string viewProgress(const Json& replica, const ViewOptions& options);

// Helpers of the views.
// "WaitingForCapacity: 10 of 16 free" of what stands at the pointer ("" or "/status").
std::string noteOf(const Json& object, const std::string& at);
std::string deploymentOf(const Json& object, const ViewOptions& options);
// "71.4 / 79.6 GiB".
std::string shareOf(uint64_t part, uint64_t whole);
std::string indented(const std::string& lines);  // each by two columns
// One line of a description; empty without a text.
std::string labelled(const std::string& label, const std::string& text);

}  // namespace muster::cli
