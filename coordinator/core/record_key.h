// Names of records as values, and a record made from the state.
#pragma once

#include "coordinator/core/state.h"

#include <optional>
#include <string>
#include <variant>

namespace muster::coordinator {

struct MetaKey {
  auto operator<=>(const MetaKey&) const = default;
};
struct ModelKey {
  std::string source;
  auto operator<=>(const ModelKey&) const = default;
};
struct ReplicaKey {
  DeploymentUid deployment;
  ReplicaNumber replica;
  auto operator<=>(const ReplicaKey&) const = default;
};
struct RetiredKey {
  GenerationRef ref;
  auto operator<=>(const RetiredKey&) const = default;
};

// NodeName, DeploymentUid, GenerationRef (a current generation) and RankRef name their own records.
using RecordKey = std::variant<MetaKey, NodeName, ModelKey, DeploymentUid, ReplicaKey,
                               GenerationRef, RankRef, RetiredKey, OutcomeKey>;

std::string toText(const RecordKey& key);

// The record's value as the state has it now; nothing when the state has no such thing.
std::optional<std::string> encodeRecord(const State& state, const RecordKey& key);

// 128-bit sums of record hashes.
Guid addHash(Guid sum, Guid hash);
Guid subtractHash(Guid sum, Guid hash);

// Brings the entry of `key` in the record hashes and their sum up to `value`. False when nothing
// changed.
bool updateHash(State& state, const std::string& key, const std::optional<std::string>& value);

// Makes what is derived (names, reservations) from the rest; for loading.
void rebuildIndexes(State& state);

}  // namespace muster::coordinator
