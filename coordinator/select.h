// Which objects a reading call means: the kinds there are, and how their targets are written.
#pragma once

#include "base/result.h"
#include "coordinator/objects/json.h"

#include <string>

namespace muster::coordinator {

// The list {version, items} of all objects of a kind that `target` names; all for an empty one.
//   nodes           a node's name
//   gpus            a node's name, or node:index
//   deployments     [tenant/]name, or tenant/ for all of a tenant
//   replicas ranks  [tenant/]deployment[/replica[/rank]], or tenant/
//   models          a source
// Refuses INVALID_VALUE for an unknown kind and NOT_FOUND for a target that names nothing, both
// with the nearest word.
Result<Json> selectObjects(const ObjectView& view, const std::string& kind,
                           const std::string& target);

// "deployment" and "deployments" are the same kind: the plural. Nothing for an unknown word.
std::optional<std::string> kindNamed(const std::string& word);
Refusal unknownKind(const std::string& word);

Result<const DeploymentState*> findTarget(const State& state, const TenantName& tenant,
                                          const DeploymentName& name);

}  // namespace muster::coordinator
