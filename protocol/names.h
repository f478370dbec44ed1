// The grammar of names, and references to deployments, replicas, ranks and GPUs as users write
// them.
#pragma once

#include "base/ids.h"
#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace muster {

inline bool isDigit(char c) { return c >= '0' && c <= '9'; }

// What a name names; nodes and coordinators have shorter ones, for they end up in file and host
// names.
enum class NameKind { CLUSTER, TENANT, DEPLOYMENT, POOL, NODE, COORDINATOR };

// `[a-z][a-z0-9-]{0,62}`, at most 48 characters for nodes and coordinators.
// Refuses INVALID_NAME with what is wrong and, where one can be guessed, a name that would be
// right.
Result<Done> checkName(std::string_view name, NameKind kind);

// "lower-case letters, digits and -": a right name made of a wrong one; nothing when none is left.
std::optional<std::string> suggestName(std::string_view name, NameKind kind);

// Another name of a model: letters, digits and "._:/@-", at most 128 characters, a letter or digit
// first, so that clients written for other servers find theirs: "gpt-4o", "Qwen/Qwen2.5-7B".
// Refuses INVALID_NAME.
Result<Done> checkAlias(std::string_view alias);

// `[tenant/]deployment[/replica[/rank]]`. Replicas and ranks are numbers and names start with a
// letter, so that "search/ranker/0/5" and "ranker/0/5" are both unambiguous.
struct Reference {
  std::optional<TenantName> tenant;  // absent: the caller's own
  DeploymentName deployment;
  std::optional<ReplicaNumber> replica;
  std::optional<RankNumber> rank;  // only with a replica
  bool operator==(const Reference&) const = default;
};

// Refuses INVALID_NAME for anything else.
Result<Reference> parseReference(std::string_view text);
std::string toText(const Reference& reference);

// `node:index`, for instance "gpu02:5".
struct GpuReference {
  NodeName node;
  DeviceIndex device;
  auto operator<=>(const GpuReference&) const = default;
};

// Refuses INVALID_NAME for anything else.
Result<GpuReference> parseGpuReference(std::string_view text);
std::string toText(const GpuReference& gpu);

}  // namespace muster
