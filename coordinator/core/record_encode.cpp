// State to records.
#include "coordinator/core/record.h"
#include "coordinator/core/record_key.h"
#include "coordinator/core/state.capnp.h"
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"
#include "protocol/codec_lists.h"

#include <cstdio>

namespace muster::coordinator {
namespace {

using codec::reader;
using RecordBuilder = schema::Record::Builder;

constexpr uint32_t RECORD_FORMAT_VERSION = 1;

std::string hex(uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

std::string hex(uint32_t number) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", number);
  return text;
}

// Negative times sort before positive ones when the sign bit is turned over.
std::string hexTime(Instant time) {
  return hex(static_cast<uint64_t>(time.nanos) ^ (uint64_t{1} << 63));
}

std::string pathOf(const GenerationRef& ref) {
  return hex(ref.deployment.value) + "/" + hex(ref.replica.value) + "/" + hex(ref.generation.value);
}

struct KeyText {
  std::string operator()(const MetaKey&) const { return "meta"; }
  std::string operator()(const NodeName& name) const { return "node/" + name.value; }
  std::string operator()(const ModelKey& key) const { return "model/" + key.source; }
  std::string operator()(const DeploymentUid& uid) const { return "deployment/" + hex(uid.value); }
  std::string operator()(const ReplicaKey& key) const {
    return "replica/" + hex(key.deployment.value) + "/" + hex(key.replica.value);
  }
  std::string operator()(const GenerationRef& ref) const { return "generation/" + pathOf(ref); }
  std::string operator()(const RankRef& ref) const {
    return "rank/" + pathOf(generationOf(ref)) + "/" + hex(ref.rank.value);
  }
  std::string operator()(const RetiredKey& key) const { return "retired/" + pathOf(key.ref); }
  std::string operator()(const OutcomeKey& key) const {
    return "outcome/" + hexTime(key.clusterTime) + "/" + muster::toText(key.guid);
  }
};

template <class Fill>
std::string record(Fill&& fill) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::Record>();
  root.setFormatVersion(RECORD_FORMAT_VERSION);
  fill(root);
  return codec::canonicalBytes<schema::Record>(root.asReader());
}

void fillMeta(const State& state, schema::MetaRecord::Builder out) {
  encode(state.history, out.initHistory());
  out.setAppliedIndex(state.applied.value);
  out.setClusterTimeNs(state.clusterTime.nanos);
  out.setEpoch(state.epoch.value);
  out.setLeader(reader(state.leader.value));
  encode(state.leaderIncarnation, out.initLeaderIncarnation());
  out.setSchemaLevel(state.schemaLevel);
  out.setNextUid(state.nextUid.value);
  out.setCapacityIndex(state.capacityIndex.value);
}

void fillNode(const NodeState& node, schema::NodeRecord::Builder out) {
  encode(node.info, out.initInfo());
  encode(node.agent, out.initAgent());
  out.setReachability(static_cast<uint8_t>(node.reachability));
  out.setWhy(reader(node.why));
  out.setSuspectRemainingNs(node.suspectRemaining.nanos);
  out.setSinceNs(node.since.nanos);
  out.setSinceWallMs(node.sinceWall.unixMs);
  if (node.cordon) {
    auto cordon = out.initCordon();
    cordon.setBy(reader(node.cordon->by));
    cordon.setReason(reader(node.cordon->reason));
    cordon.setSinceNs(node.cordon->since.nanos);
    cordon.setSinceWallMs(node.cordon->sinceWall.unixMs);
  }
  out.setDrain(static_cast<uint8_t>(node.drain));
  out.setDrainForced(node.drainForced);
  out.setDescribedIndex(node.describedAt.value);
  out.setOrderIndex(node.orderIndex.value);
}

void fillDeployment(const DeploymentState& deployment, schema::DeploymentRecord::Builder out) {
  out.setUid(deployment.uid.value);
  encode(deployment.spec, out.initSpec());
  out.setRevision(deployment.revision.value);
  out.setTemplateRevision(deployment.templateRevision.value);
  out.setCreatedNs(deployment.created.nanos);
  out.setCreatedWallMs(deployment.createdWall.unixMs);
  out.setCreatedBy(reader(deployment.createdBy));
  out.setPhase(static_cast<uint8_t>(deployment.phase));
  out.setReason(static_cast<uint8_t>(deployment.reason));
  out.setMessage(reader(deployment.message));
  out.setSinceNs(deployment.since.nanos);
  out.setSinceWallMs(deployment.sinceWall.unixMs);
  out.setDeleting(deployment.deleting);
  out.setNextGeneration(deployment.nextGeneration.value);
}

void fillReplica(const ReplicaKey& key, const ReplicaState& replica,
                 schema::ReplicaRecord::Builder out) {
  out.setDeploymentUid(key.deployment.value);
  out.setReplica(key.replica.value);
  out.setPhase(static_cast<uint8_t>(replica.phase));
  out.setReason(static_cast<uint8_t>(replica.reason));
  out.setMessage(reader(replica.message));
  out.setSinceNs(replica.since.nanos);
  out.setSinceWallMs(replica.sinceWall.unixMs);
  auto verdicts = out.initVerdicts(static_cast<uint32_t>(replica.verdicts.size()));
  for (uint32_t i = 0; i < verdicts.size(); ++i) {
    verdicts[i].setNode(reader(replica.verdicts[i].node.value));
    verdicts[i].setVerdict(reader(replica.verdicts[i].verdict));
    verdicts[i].setDetail(reader(replica.verdicts[i].detail));
  }
  codec::fillTexts(replica.fixes, out.initFixes(static_cast<uint32_t>(replica.fixes.size())));
  out.setAnsweredIndex(replica.answeredIndex.value);
  out.setFailedAttempts(replica.failedAttempts);
  out.setRetryAtNs(replica.retryAt.nanos);
  out.setFirstError(reader(replica.firstError));
}

void fillGeneration(const GenerationRef& ref, const PlacedGeneration& generation,
                    schema::GenerationRecord::Builder out) {
  out.setDeploymentUid(ref.deployment.value);
  out.setReplica(ref.replica.value);
  out.setGeneration(ref.generation.value);
  out.setRevision(generation.revision.value);
  encode(generation.spec, out.initSpec());
  encode(generation.plan, out.initPlan());
  const auto& placed = generation.placement.ranks;
  auto ranks = out.initRanks(static_cast<uint32_t>(placed.size()));
  for (uint32_t i = 0; i < ranks.size(); ++i) encode(placed[i], ranks[i]);
  out.setSecret({generation.secret.data(), generation.secret.size()});
  out.setManifestDigest(reader(generation.manifestDigest));
  out.setPlacedIndex(generation.placedIndex.value);
  out.setPlacedAtNs(generation.placedAt.nanos);
  out.setPlacedWallMs(generation.placedWall.unixMs);
  out.setReadyAtNs(generation.readyAt.nanos);
}

void fillRank(const RankRef& ref, const RankState& rank, schema::RankRecord::Builder out) {
  encode(ref, out.initRef());
  out.setPhase(static_cast<uint8_t>(rank.phase));
  out.setReason(static_cast<uint8_t>(rank.reason));
  out.setMessage(reader(rank.message));
  out.setPid(rank.pid);
  out.setProcessStartTime(rank.processStartTime);
  out.setLoadedBytes(rank.loaded.count);
  out.setRendezvous(reader(rank.rendezvous));
  out.setFirstError(reader(rank.firstError));
  out.setSinceNs(rank.since.nanos);
  out.setSinceWallMs(rank.sinceWall.unixMs);
}

void fillRetired(const GenerationRef& ref, const RetiredGeneration& retired,
                 schema::RetiredRecord::Builder out) {
  out.setDeploymentUid(ref.deployment.value);
  out.setReplica(ref.replica.value);
  out.setGeneration(ref.generation.value);
  out.setTenant(reader(retired.tenant.value));
  out.setName(reader(retired.name.value));
  out.setReason(static_cast<uint8_t>(retired.reason));
  out.setMessage(reader(retired.message));
  out.setPlacedIndex(retired.placedIndex.value);
  out.setRetiredIndex(retired.retiredIndex.value);
  out.setSinceNs(retired.since.nanos);
  out.setSinceWallMs(retired.sinceWall.unixMs);
  auto ranks = out.initRanks(static_cast<uint32_t>(retired.ranks.size()));
  uint32_t next = 0;
  for (const auto& [number, placement] : retired.ranks) encode(placement, ranks[next++]);
}

void fillOutcome(const OutcomeKey& key, const Outcome& outcome,
                 schema::OutcomeRecord::Builder out) {
  encode(RequestId{key.guid, key.clusterTime}, out.initRequest());
  out.setIndex(outcome.index.value);
  if (outcome.rejected) encode(*outcome.rejected, out.initRejected());
  out.setAnswer(reader(outcome.answer));
}

// One overload for each kind of key: the record, or nothing when it is not in the state.
struct Encoder {
  const State& state;

  std::optional<std::string> operator()(const MetaKey&) const {
    return record([&](RecordBuilder out) { fillMeta(state, out.initMeta()); });
  }
  std::optional<std::string> operator()(const NodeName& name) const {
    const NodeState* node = state.findNode(name);
    if (!node) return std::nullopt;
    return record([&](RecordBuilder out) { fillNode(*node, out.initNode()); });
  }
  std::optional<std::string> operator()(const ModelKey& key) const {
    auto model = state.models.find(key.source);
    if (model == state.models.end()) return std::nullopt;
    return record([&](RecordBuilder out) { encode(model->second, out.initModel()); });
  }
  std::optional<std::string> operator()(const DeploymentUid& uid) const {
    const DeploymentState* deployment = state.findDeployment(uid);
    if (!deployment) return std::nullopt;
    return record([&](RecordBuilder out) { fillDeployment(*deployment, out.initDeployment()); });
  }
  std::optional<std::string> operator()(const ReplicaKey& key) const {
    const ReplicaState* replica = state.findReplica(key.deployment, key.replica);
    if (!replica) return std::nullopt;
    return record([&](RecordBuilder out) { fillReplica(key, *replica, out.initReplica()); });
  }
  std::optional<std::string> operator()(const GenerationRef& ref) const {
    const PlacedGeneration* generation = state.findCurrent(ref);
    if (!generation) return std::nullopt;
    return record(
        [&](RecordBuilder out) { fillGeneration(ref, *generation, out.initGeneration()); });
  }
  std::optional<std::string> operator()(const RankRef& ref) const {
    const PlacedGeneration* generation = state.findCurrent(generationOf(ref));
    if (!generation || ref.rank.value >= generation->ranks.size()) return std::nullopt;
    const RankState& rank = generation->ranks[ref.rank.value];
    return record([&](RecordBuilder out) { fillRank(ref, rank, out.initRank()); });
  }
  std::optional<std::string> operator()(const RetiredKey& key) const {
    auto retired = state.retired.find(key.ref);
    if (retired == state.retired.end()) return std::nullopt;
    return record(
        [&](RecordBuilder out) { fillRetired(key.ref, retired->second, out.initRetired()); });
  }
  std::optional<std::string> operator()(const OutcomeKey& key) const {
    auto outcome = state.outcomes.find(key);
    if (outcome == state.outcomes.end()) return std::nullopt;
    return record([&](RecordBuilder out) { fillOutcome(key, outcome->second, out.initOutcome()); });
  }
};

void appendReplicaKeys(const DeploymentState& deployment, std::vector<RecordKey>& keys) {
  for (const auto& [number, replica] : deployment.replicas) {
    keys.push_back(ReplicaKey{deployment.uid, number});
    if (!replica.current) continue;
    GenerationRef ref{deployment.uid, number, replica.current->generation};
    keys.push_back(ref);
    for (uint32_t rank = 0; rank < replica.current->ranks.size(); ++rank) {
      keys.push_back(RankRef{ref.deployment, ref.replica, ref.generation, {rank}});
    }
  }
}

}  // namespace

std::string toText(const RecordKey& key) { return std::visit(KeyText{}, key); }

std::optional<std::string> encodeRecord(const State& state, const RecordKey& key) {
  return std::visit(Encoder{state}, key);
}

std::vector<StoredRecord> allRecords(const State& state) {
  std::vector<RecordKey> keys{MetaKey{}};
  for (const auto& [name, node] : state.nodes) keys.push_back(name);
  for (const auto& [source, model] : state.models) keys.push_back(ModelKey{source});
  for (const auto& [uid, deployment] : state.deployments) {
    keys.push_back(uid);
    appendReplicaKeys(deployment, keys);
  }
  for (const auto& [ref, retired] : state.retired) keys.push_back(RetiredKey{ref});
  for (const auto& [key, outcome] : state.outcomes) keys.push_back(key);
  std::map<std::string, std::string> sorted;
  for (const auto& key : keys) sorted[toText(key)] = encodeRecord(state, key).value();
  std::vector<StoredRecord> records;
  records.reserve(sorted.size());
  for (auto& [key, value] : sorted) records.push_back({key, std::move(value)});
  return records;
}

}  // namespace muster::coordinator
