// Commands between values and Cap'n Proto: one pair of functions a kind, one switch each way.
#include "protocol/codec.h"
#include "protocol/codec_lists.h"
#include "protocol/schema_level.h"

#include <cstring>

namespace muster {

using codec::checked;
using codec::reader;
using codec::text;

namespace {

using CommandBuilder = schema::Command::Builder;

void fillSecret(const GroupSecret& in, capnp::Data::Builder out) {
  std::memcpy(out.begin(), in.data(), in.size());
}

GroupSecret secret(capnp::Data::Reader in) {
  GroupSecret out{};
  KJ_REQUIRE(in.size() == out.size(), "a group's secret has 32 bytes", in.size());
  std::memcpy(out.data(), in.begin(), out.size());
  return out;
}

void put(const LeaderStarted& body, CommandBuilder command) {
  auto out = command.initLeaderStarted();
  out.setLeader(reader(body.leader.value));
  out.setEpoch(body.epoch.value);
  out.setReason(reader(body.reason));
  encode(body.incarnation, out.initIncarnation());
}

LeaderStarted take(schema::LeaderStarted::Reader in) {
  return {
      {text(in.getLeader())}, {in.getEpoch()}, text(in.getReason()), decode(in.getIncarnation())};
}

void put(const NodeRegistered& body, CommandBuilder command) {
  auto out = command.initNodeRegistered();
  encode(body.node, out.initNode());
  encode(body.agent, out.initAgent());
}

NodeRegistered take(schema::NodeRegistered::Reader in) {
  return {decode(in.getNode()), decode(in.getAgent())};
}

void put(const NodePhaseChanged& body, CommandBuilder command) {
  auto out = command.initNodePhaseChanged();
  out.setNode(reader(body.node.value));
  out.setPhase(static_cast<uint8_t>(body.phase));
  out.setWhy(reader(body.why));
  out.setSuspectRemainingNs(body.suspectRemaining.nanos);
}

NodePhaseChanged take(schema::NodePhaseChanged::Reader in) {
  return {{text(in.getNode())},
          checked(in.getPhase(), NodePhase::DRAINED, "node phase"),
          text(in.getWhy()),
          {in.getSuspectRemainingNs()}};
}

void put(const NodeCordoned& body, CommandBuilder command) {
  auto out = command.initNodeCordoned();
  out.setNode(reader(body.node.value));
  out.setReason(reader(body.reason));
}

NodeCordoned take(schema::NodeCordoned::Reader in) {
  return {{text(in.getNode())}, text(in.getReason())};
}

void put(const NodeUncordoned& body, CommandBuilder command) {
  command.setNodeUncordoned(reader(body.node.value));
}

void put(const NodeDrainStarted& body, CommandBuilder command) {
  auto out = command.initNodeDrainStarted();
  out.setNode(reader(body.node.value));
  out.setReason(reader(body.reason));
  out.setForce(body.force);
}

NodeDrainStarted take(schema::NodeDrainStarted::Reader in) {
  return {{text(in.getNode())}, text(in.getReason()), in.getForce()};
}

void put(const NodeDrained& body, CommandBuilder command) {
  command.setNodeDrained(reader(body.node.value));
}

void put(const ModelRecorded& body, CommandBuilder command) {
  encode(body.manifest, command.initModelRecorded());
}

void put(const DeploymentApplied& body, CommandBuilder command) {
  auto out = command.initDeploymentApplied();
  encode(body.spec, out.initSpec());
  out.setUid(body.uid.value);
  out.setExpectedRevision(body.expectedRevision.value);
}

DeploymentApplied take(schema::DeploymentApplied::Reader in) {
  return {decode(in.getSpec()), {in.getUid()}, {in.getExpectedRevision()}};
}

void put(const DeploymentScaled& body, CommandBuilder command) {
  auto out = command.initDeploymentScaled();
  out.setTenant(reader(body.tenant.value));
  out.setName(reader(body.name.value));
  out.setReplicas(body.replicas);
  out.setExpectedRevision(body.expectedRevision.value);
}

DeploymentScaled take(schema::DeploymentScaled::Reader in) {
  return {
      {text(in.getTenant())}, {text(in.getName())}, in.getReplicas(), {in.getExpectedRevision()}};
}

void put(const DeploymentDeleted& body, CommandBuilder command) {
  auto out = command.initDeploymentDeleted();
  out.setTenant(reader(body.tenant.value));
  out.setName(reader(body.name.value));
  out.setExpectedRevision(body.expectedRevision.value);
}

DeploymentDeleted take(schema::DeploymentDeleted::Reader in) {
  return {{text(in.getTenant())}, {text(in.getName())}, {in.getExpectedRevision()}};
}

void put(const ReplicaPlaced& body, CommandBuilder command) {
  auto out = command.initReplicaPlaced();
  out.setDeploymentUid(body.deployment.value);
  out.setReplica(body.replica.value);
  out.setGeneration(body.generation.value);
  out.setRevision(body.revision.value);
  encode(body.plan, out.initPlan());
  const auto& ranks = body.placement.ranks;
  codec::fillStructs(
      ranks, out.initRanks(static_cast<uint32_t>(ranks.size())),
      [](const RankPlacement& rank, schema::RankPlacement::Builder one) { encode(rank, one); });
  fillSecret(body.secret, out.initSecret(static_cast<uint32_t>(body.secret.size())));
}

ReplicaPlaced take(schema::ReplicaPlaced::Reader in) {
  ReplicaPlaced out;
  out.deployment = {in.getDeploymentUid()};
  out.replica = {in.getReplica()};
  out.generation = {in.getGeneration()};
  out.revision = {in.getRevision()};
  out.plan = decode(in.getPlan());
  out.placement.ranks = codec::structs<RankPlacement>(
      in.getRanks(), [](schema::RankPlacement::Reader one) { return decode(one); });
  out.secret = secret(in.getSecret());
  return out;
}

void put(const ReplicaWaiting& body, CommandBuilder command) {
  auto out = command.initReplicaWaiting();
  out.setDeploymentUid(body.deployment.value);
  out.setReplica(body.replica.value);
  out.setReason(static_cast<uint8_t>(body.reason));
  out.setMessage(reader(body.message));
  codec::fillStructs(body.verdicts, out.initVerdicts(static_cast<uint32_t>(body.verdicts.size())),
                     [](const NodeVerdict& verdict, schema::NodeVerdict::Builder one) {
                       one.setNode(reader(verdict.node.value));
                       one.setVerdict(reader(verdict.verdict));
                       one.setDetail(reader(verdict.detail));
                     });
  codec::fillTexts(body.fixes, out.initFixes(static_cast<uint32_t>(body.fixes.size())));
}

ReplicaWaiting take(schema::ReplicaWaiting::Reader in) {
  ReplicaWaiting out;
  out.deployment = {in.getDeploymentUid()};
  out.replica = {in.getReplica()};
  out.reason = checked(in.getReason(), Reason::SLO_MISSED, "reason");
  out.message = text(in.getMessage());
  out.verdicts = codec::structs<NodeVerdict>(in.getVerdicts(), [](schema::NodeVerdict::Reader one) {
    return NodeVerdict{{text(one.getNode())}, text(one.getVerdict()), text(one.getDetail())};
  });
  out.fixes = codec::texts(in.getFixes());
  return out;
}

void put(const RankProgressed& body, CommandBuilder command) {
  auto out = command.initRankProgressed();
  encode(body.rank, out.initRank());
  out.setPhase(static_cast<uint8_t>(body.phase));
  out.setReason(static_cast<uint8_t>(body.reason));
  out.setMessage(reader(body.message));
  out.setPid(body.pid);
  out.setProcessStartTime(body.processStartTime);
  out.setLoadedBytes(body.loaded.count);
  out.setRendezvous(reader(body.rendezvous));
  out.setFirstError(reader(body.firstError));
}

RankProgressed take(schema::RankProgressed::Reader in) {
  return {.rank = decode(in.getRank()),
          .phase = checked(in.getPhase(), ReplicaPhase::LOST, "rank phase"),
          .reason = checked(in.getReason(), Reason::SLO_MISSED, "reason"),
          .message = text(in.getMessage()),
          .pid = in.getPid(),
          .processStartTime = in.getProcessStartTime(),
          .loaded = {in.getLoadedBytes()},
          .rendezvous = text(in.getRendezvous()),
          .firstError = text(in.getFirstError())};
}

void put(const ReplicaRetired& body, CommandBuilder command) {
  auto out = command.initReplicaRetired();
  out.setDeploymentUid(body.deployment.value);
  out.setReplica(body.replica.value);
  out.setGeneration(body.generation.value);
  out.setReason(static_cast<uint8_t>(body.reason));
  out.setMessage(reader(body.message));
}

ReplicaRetired take(schema::ReplicaRetired::Reader in) {
  return {{in.getDeploymentUid()},
          {in.getReplica()},
          {in.getGeneration()},
          checked(in.getReason(), Reason::SLO_MISSED, "reason"),
          text(in.getMessage())};
}

void put(const RanksReleased& body, CommandBuilder command) {
  auto out = command.initRanksReleased();
  out.setNode(reader(body.node.value));
  codec::fillStructs(body.ranks, out.initRanks(static_cast<uint32_t>(body.ranks.size())),
                     [](const RankRef& rank, schema::RankRef::Builder one) { encode(rank, one); });
}

RanksReleased take(schema::RanksReleased::Reader in) {
  return {{text(in.getNode())},
          codec::structs<RankRef>(in.getRanks(),
                                  [](schema::RankRef::Reader one) { return decode(one); })};
}

void put(const SchemaLevelRaised& body, CommandBuilder command) {
  auto out = command.initSchemaLevelRaised();
  out.setLevel(body.level);
  std::vector<std::string> ids;
  for (const auto& id : body.understoodBy) ids.push_back(id.value);
  codec::fillTexts(ids, out.initUnderstoodBy(static_cast<uint32_t>(ids.size())));
}

SchemaLevelRaised take(schema::SchemaLevelRaised::Reader in) {
  SchemaLevelRaised out{in.getLevel(), {}};
  for (auto& id : codec::texts(in.getUnderstoodBy())) out.understoodBy.push_back({std::move(id)});
  return out;
}

CommandBody takeBody(schema::Command::Reader in) {
  switch (in.which()) {
    case schema::Command::LEADER_STARTED:
      return take(in.getLeaderStarted());
    case schema::Command::NODE_REGISTERED:
      return take(in.getNodeRegistered());
    case schema::Command::NODE_PHASE_CHANGED:
      return take(in.getNodePhaseChanged());
    case schema::Command::NODE_CORDONED:
      return take(in.getNodeCordoned());
    case schema::Command::NODE_UNCORDONED:
      return NodeUncordoned{{text(in.getNodeUncordoned())}};
    case schema::Command::NODE_DRAIN_STARTED:
      return take(in.getNodeDrainStarted());
    case schema::Command::MODEL_RECORDED:
      return ModelRecorded{decode(in.getModelRecorded())};
    case schema::Command::DEPLOYMENT_APPLIED:
      return take(in.getDeploymentApplied());
    case schema::Command::DEPLOYMENT_SCALED:
      return take(in.getDeploymentScaled());
    case schema::Command::DEPLOYMENT_DELETED:
      return take(in.getDeploymentDeleted());
    case schema::Command::REPLICA_PLACED:
      return take(in.getReplicaPlaced());
    case schema::Command::REPLICA_WAITING:
      return take(in.getReplicaWaiting());
    case schema::Command::RANK_PROGRESSED:
      return take(in.getRankProgressed());
    case schema::Command::REPLICA_RETIRED:
      return take(in.getReplicaRetired());
    case schema::Command::RANKS_RELEASED:
      return take(in.getRanksReleased());
    case schema::Command::NODE_DRAINED:
      return NodeDrained{{text(in.getNodeDrained())}};
    case schema::Command::SCHEMA_LEVEL_RAISED:
      return take(in.getSchemaLevelRaised());
  }
  kj::throwFatalException(KJ_EXCEPTION(
      UNIMPLEMENTED,
      kj::str("E0712 the log holds a command of kind ", static_cast<uint32_t>(in.which()),
              ", which this binary does not know: it stops, and nothing is skipped; install the "
              "version that the other coordinators run")));
}

}  // namespace

void encode(const Command& value, schema::Command::Builder out) {
  out.setSchemaVersion(value.schemaVersion);
  out.setPrincipal(reader(value.principal));
  encode(value.request, out.initRequest());
  out.setDecidedAtNs(value.decidedAt.nanos);
  out.setDecidedWallMs(value.decidedWall.unixMs);
  std::visit([&](const auto& body) { put(body, out); }, value.body);
}

Command decode(schema::Command::Reader in) {
  KJ_REQUIRE(in.getSchemaVersion() >= SCHEMA_LEVEL_FIRST, "a command without a schema version");
  requireUnderstood(in.getSchemaVersion(), "a command in the log");
  return {.schemaVersion = in.getSchemaVersion(),
          .principal = text(in.getPrincipal()),
          .request = decode(in.getRequest()),
          .decidedAt = {in.getDecidedAtNs()},
          .decidedWall = {in.getDecidedWallMs()},
          .body = takeBody(in)};
}

}  // namespace muster
