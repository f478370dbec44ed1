// A deployment as text: canonical YAML and JSON, and the difference between two revisions.
#pragma once

#include "protocol/deployment.h"
#include "protocol/yaml_document.h"

#include <string>
#include <string_view>
#include <vector>

namespace muster {

// With the field names of the YAML; what the owner left open is left out, defaults are written.
// parseDeployments reads each of the texts back as the same spec.
YamlNode toTree(const DeploymentSpec& spec);
std::string toYaml(const DeploymentSpec& spec);
std::string toJson(const DeploymentSpec& spec);  // one line

struct FieldChange {
  std::string path;    // "engine.args.max-num-seqs"
  std::string before;  // as YAML on one line; empty: was not given
  std::string after;   // empty: is no longer given
  ChangeEffect effect = ChangeEffect::RESTARTS_RANKS;
  bool operator==(const FieldChange&) const = default;
};

struct DeploymentDiff {
  std::vector<FieldChange> changes;  // in the order of the fields
  uint32_t unchanged = 0;            // fields with a value that is the same in both
  bool operator==(const DeploymentDiff&) const = default;
};

// A change of `replicas`, `balance` and `model.aliases` is made in place; any other recreates the
// replicas.
DeploymentDiff diffDeployments(const DeploymentSpec& before, const DeploymentSpec& after);
bool restartsRanks(const DeploymentDiff& diff);

// The lines of `muster plan`, each with its line break:
//   "  ~ engine.args.max-num-seqs   128 -> 256        restarts ranks"
//   "  = 9 fields unchanged"
std::string toText(const DeploymentDiff& diff);

}  // namespace muster
