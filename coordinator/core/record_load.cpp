// Records to state.
#include "coordinator/core/record.h"
#include "coordinator/core/record_key.h"
#include "coordinator/core/reservations.h"
#include "coordinator/core/state.capnp.h"
#include "protocol/codec.h"
#include "protocol/codec_bytes.h"
#include "protocol/codec_lists.h"
#include "protocol/schema_level.h"

#include <algorithm>

namespace muster::coordinator {
namespace {

using codec::checked;
using codec::text;

void takeMeta(State& state, schema::MetaRecord::Reader in) {
  state.history = decode(in.getHistory());
  state.applied = {in.getAppliedIndex()};
  state.clusterTime = {in.getClusterTimeNs()};
  state.epoch = {in.getEpoch()};
  state.leader = {text(in.getLeader())};
  state.leaderIncarnation = decode(in.getLeaderIncarnation());
  requireUnderstood(in.getSchemaLevel(), "the stored state");
  state.schemaLevel = in.getSchemaLevel();
  state.nextUid = {in.getNextUid()};
  state.capacityIndex = {in.getCapacityIndex()};
}

void takeNode(State& state, schema::NodeRecord::Reader in) {
  NodeState node;
  node.info = decode(in.getInfo());
  node.agent = decode(in.getAgent());
  node.reachability = checked(in.getReachability(), NodePhase::DRAINED, "node phase");
  node.why = text(in.getWhy());
  node.suspectRemaining = {in.getSuspectRemainingNs()};
  node.since = {in.getSinceNs()};
  node.sinceWall = {in.getSinceWallMs()};
  if (in.hasCordon()) {
    auto cordon = in.getCordon();
    node.cordon = Cordon{text(cordon.getBy()),
                         text(cordon.getReason()),
                         {cordon.getSinceNs()},
                         {cordon.getSinceWallMs()}};
  }
  node.drain = checked(in.getDrain(), DrainStage::DRAINED, "drain stage");
  node.drainForced = in.getDrainForced();
  node.describedAt = {in.getDescribedIndex()};
  node.orderIndex = {in.getOrderIndex()};
  NodeName name = node.info.name;
  state.nodes[name] = std::move(node);
}

void takeModel(State& state, schema::ModelManifest::Reader in) {
  ModelManifest manifest = decode(in);
  std::string source = manifest.source;
  state.models[source] = std::move(manifest);
}

void takeDeployment(State& state, schema::DeploymentRecord::Reader in) {
  // Its replicas may have been read before it.
  DeploymentState& out = state.deployments[{in.getUid()}];
  out.uid = {in.getUid()};
  out.spec = decode(in.getSpec());
  out.revision = {in.getRevision()};
  out.templateRevision = {in.getTemplateRevision()};
  out.created = {in.getCreatedNs()};
  out.createdWall = {in.getCreatedWallMs()};
  out.createdBy = text(in.getCreatedBy());
  out.phase = checked(in.getPhase(), DeploymentPhase::FAILED, "deployment phase");
  out.reason = checked(in.getReason(), Reason::SLO_MISSED, "reason");
  out.message = text(in.getMessage());
  out.since = {in.getSinceNs()};
  out.sinceWall = {in.getSinceWallMs()};
  out.deleting = in.getDeleting();
  out.nextGeneration = {in.getNextGeneration()};
}

void takeReplica(State& state, schema::ReplicaRecord::Reader in) {
  ReplicaState& out = state.deployments[{in.getDeploymentUid()}].replicas[{in.getReplica()}];
  out.phase = checked(in.getPhase(), ReplicaPhase::LOST, "replica phase");
  out.reason = checked(in.getReason(), Reason::SLO_MISSED, "reason");
  out.message = text(in.getMessage());
  out.since = {in.getSinceNs()};
  out.sinceWall = {in.getSinceWallMs()};
  for (auto verdict : in.getVerdicts()) {
    out.verdicts.push_back(
        {{text(verdict.getNode())}, text(verdict.getVerdict()), text(verdict.getDetail())});
  }
  out.fixes = codec::texts(in.getFixes());
  out.answeredIndex = {in.getAnsweredIndex()};
  out.failedAttempts = in.getFailedAttempts();
  out.retryAt = {in.getRetryAtNs()};
  out.firstError = text(in.getFirstError());
}

PlacedGeneration& currentOf(State& state, const GenerationRef& ref) {
  auto& current = state.deployments[ref.deployment].replicas[ref.replica].current;
  if (!current) current.emplace();
  KJ_REQUIRE(current->generation.value == 0 || current->generation == ref.generation,
             "two current generations of one replica are stored", ref.deployment.value,
             ref.replica.value);
  current->generation = ref.generation;
  return *current;
}

void takeGeneration(State& state, schema::GenerationRecord::Reader in) {
  PlacedGeneration& out =
      currentOf(state, {{in.getDeploymentUid()}, {in.getReplica()}, {in.getGeneration()}});
  out.revision = {in.getRevision()};
  out.spec = decode(in.getSpec());
  out.plan = decode(in.getPlan());
  for (auto rank : in.getRanks()) out.placement.ranks.push_back(decode(rank));
  KJ_REQUIRE(in.getSecret().size() == out.secret.size(), "a group's secret has 32 bytes");
  std::copy(in.getSecret().begin(), in.getSecret().end(), out.secret.begin());
  out.manifestDigest = text(in.getManifestDigest());
  out.placedIndex = {in.getPlacedIndex()};
  out.placedAt = {in.getPlacedAtNs()};
  out.placedWall = {in.getPlacedWallMs()};
  out.readyAt = {in.getReadyAtNs()};
}

constexpr uint32_t RANKS_MAX = 1 << 20;  // bounds what one corrupt record can ask for

void takeRank(State& state, schema::RankRecord::Reader in) {
  RankRef ref = decode(in.getRef());
  KJ_REQUIRE(ref.rank.value < RANKS_MAX, "impossible rank", ref.rank.value);
  PlacedGeneration& generation = currentOf(state, generationOf(ref));
  if (generation.ranks.size() <= ref.rank.value) generation.ranks.resize(ref.rank.value + 1);
  RankState& out = generation.ranks[ref.rank.value];
  out.phase = checked(in.getPhase(), ReplicaPhase::LOST, "rank phase");
  out.reason = checked(in.getReason(), Reason::SLO_MISSED, "reason");
  out.message = text(in.getMessage());
  out.pid = in.getPid();
  out.processStartTime = in.getProcessStartTime();
  out.loaded = {in.getLoadedBytes()};
  out.rendezvous = text(in.getRendezvous());
  out.firstError = text(in.getFirstError());
  out.since = {in.getSinceNs()};
  out.sinceWall = {in.getSinceWallMs()};
}

void takeRetired(State& state, schema::RetiredRecord::Reader in) {
  RetiredGeneration& out =
      state.retired[{{in.getDeploymentUid()}, {in.getReplica()}, {in.getGeneration()}}];
  out.tenant = {text(in.getTenant())};
  out.name = {text(in.getName())};
  out.reason = checked(in.getReason(), Reason::SLO_MISSED, "reason");
  out.message = text(in.getMessage());
  out.placedIndex = {in.getPlacedIndex()};
  out.retiredIndex = {in.getRetiredIndex()};
  out.since = {in.getSinceNs()};
  out.sinceWall = {in.getSinceWallMs()};
  for (auto rank : in.getRanks()) {
    RankPlacement placement = decode(rank);
    out.ranks[placement.rank] = std::move(placement);
  }
}

void takeOutcome(State& state, schema::OutcomeRecord::Reader in) {
  Outcome outcome;
  outcome.index = {in.getIndex()};
  if (in.hasRejected()) outcome.rejected = decode(in.getRejected());
  outcome.answer = text(in.getAnswer());
  state.outcomes.insert_or_assign(state.outcomes.end(), outcomeKey(decode(in.getRequest())),
                                  std::move(outcome));
}

void takeRecord(State& state, schema::Record::Reader in) {
  switch (in.which()) {
    case schema::Record::META:
      return takeMeta(state, in.getMeta());
    case schema::Record::NODE:
      return takeNode(state, in.getNode());
    case schema::Record::MODEL:
      return takeModel(state, in.getModel());
    case schema::Record::DEPLOYMENT:
      return takeDeployment(state, in.getDeployment());
    case schema::Record::REPLICA:
      return takeReplica(state, in.getReplica());
    case schema::Record::GENERATION:
      return takeGeneration(state, in.getGeneration());
    case schema::Record::RANK:
      return takeRank(state, in.getRank());
    case schema::Record::RETIRED:
      return takeRetired(state, in.getRetired());
    case schema::Record::OUTCOME:
      return takeOutcome(state, in.getOutcome());
  }
  KJ_UNIMPLEMENTED("a record of a kind this binary does not know", static_cast<int>(in.which()));
}

void readOne(State& state, const StoredRecord& stored) {
  KJ_CONTEXT("reading a record of the store", stored.key.c_str());
  codec::readCanonical<schema::Record>(stored.value, [&](schema::Record::Reader record) {
    if (record.getFormatVersion() != 1) {
      kj::throwFatalException(KJ_EXCEPTION(UNIMPLEMENTED,
                                           "a record of a format this binary does not know",
                                           record.getFormatVersion()));
    }
    takeRecord(state, record);
    return 0;
  });
  // The keys of a store ascend. One that is there was read before the others.
  Guid hash = recordHash(stored.key, stored.value);
  size_t before = state.recordHashes.size();
  state.recordHashes.emplace_hint(state.recordHashes.end(), stored.key, hash);
  if (state.recordHashes.size() > before) state.hashSum = addHash(state.hashSum, hash);
}

void requireWhole(const DeploymentState& deployment) {
  KJ_REQUIRE(deployment.uid.value != 0, "a replica without its deployment is stored");
  for (const auto& [number, replica] : deployment.replicas) {
    if (!replica.current) continue;
    KJ_REQUIRE(replica.current->ranks.size() == replica.current->placement.ranks.size(),
               "a generation without all of its ranks is stored", deployment.uid.value,
               number.value, replica.current->generation.value);
  }
}

// Every record has been read into a thing of its own, and nothing is there that no record was read
// for.
void requireComplete(const State& state) {
  size_t things = 1 + state.nodes.size() + state.models.size() + state.deployments.size() +
                  state.retired.size() + state.outcomes.size();
  for (const auto& [uid, deployment] : state.deployments) {
    things += deployment.replicas.size();
    for (const auto& [number, replica] : deployment.replicas) {
      if (replica.current) things += 1 + replica.current->ranks.size();
    }
  }
  KJ_REQUIRE(things == state.recordHashes.size(), "the stored state is not whole", things,
             state.recordHashes.size());
}

// Before any other is looked at: what stands in records of a later level is not for us to read.
void readMeta(State& state, std::span<const StoredRecord> records) {
  auto meta = std::ranges::find(records, toText(RecordKey{MetaKey{}}), &StoredRecord::key);
  if (meta != records.end()) readOne(state, *meta);
}

}  // namespace

State loadState(std::span<const StoredRecord> records) {
  State state;
  readMeta(state, records);
  for (const auto& record : records) readOne(state, record);
  for (const auto& [uid, deployment] : state.deployments) requireWhole(deployment);
  requireComplete(state);
  rebuildIndexes(state);
  return state;
}

void rebuildIndexes(State& state) {
  state.deploymentByName.clear();
  state.reservations.clear();
  for (const auto& [uid, deployment] : state.deployments) {
    state.deploymentByName[{deployment.spec.tenant, deployment.spec.name}] = uid;
    for (const auto& [number, replica] : deployment.replicas) {
      if (!replica.current) continue;
      GenerationRef ref{uid, number, replica.current->generation};
      for (const auto& rank : replica.current->placement.ranks) {
        reserve(state, ref, rank, replica.current->placedIndex);
      }
    }
  }
  for (const auto& [ref, retired] : state.retired) {
    for (const auto& [number, rank] : retired.ranks) reserve(state, ref, rank, retired.placedIndex);
  }
}

}  // namespace muster::coordinator
