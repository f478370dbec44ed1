// Orders, reports and hellos between values and Cap'n Proto.
#include "protocol/codec.h"
#include "protocol/codec_lists.h"

#include <cstring>

namespace muster {

using codec::checked;
using codec::reader;
using codec::text;

void encode(const OrderStamp& value, schema::OrderStamp::Builder out) {
  encode(value.token, out.initToken());
  out.setIndex(value.index.value);
}

OrderStamp decode(schema::OrderStamp::Reader in) {
  return {decode(in.getToken()), {in.getIndex()}};
}

void encode(const Assignment& value, schema::Assignment::Builder out) {
  encode(value.ref, out.initRef());
  out.setTenant(reader(value.tenant.value));
  out.setDeployment(reader(value.deployment.value));
  out.setWorldSize(value.worldSize);
  auto devices = out.initDevices(static_cast<uint32_t>(value.devices.size()));
  for (uint32_t i = 0; i < devices.size(); ++i) devices.set(i, value.devices[i].value);
  out.setMemoryBytes(value.memory.count);
  encode(value.engine, out.initEngine());
  out.setModelSource(reader(value.modelSource));
  out.setManifestDigest(reader(value.manifestDigest));
  encode(value.plan, out.initPlan());
  out.setRendezvous(reader(value.rendezvous));
  auto secret = out.initSecret(static_cast<uint32_t>(value.secret.size()));
  std::memcpy(secret.begin(), value.secret.data(), value.secret.size());
  out.setReadyTimeoutNs(value.timeouts.ready.nanos);
  out.setStallTimeoutNs(value.timeouts.stall.nanos);
  out.setDrainTimeoutNs(value.timeouts.drain.nanos);
}

Assignment decode(schema::Assignment::Reader in) {
  Assignment out;
  out.ref = decode(in.getRef());
  out.tenant = {text(in.getTenant())};
  out.deployment = {text(in.getDeployment())};
  out.worldSize = in.getWorldSize();
  for (auto device : in.getDevices()) out.devices.push_back({device});
  out.memory = {in.getMemoryBytes()};
  out.engine = decode(in.getEngine());
  out.modelSource = text(in.getModelSource());
  out.manifestDigest = text(in.getManifestDigest());
  out.plan = decode(in.getPlan());
  out.rendezvous = text(in.getRendezvous());
  auto secret = in.getSecret();
  KJ_REQUIRE(secret.size() == out.secret.size(), "a group's secret has 32 bytes", secret.size());
  std::memcpy(out.secret.data(), secret.begin(), out.secret.size());
  out.timeouts.ready = {in.getReadyTimeoutNs()};
  out.timeouts.stall = {in.getStallTimeoutNs()};
  out.timeouts.drain = {in.getDrainTimeoutNs()};
  return out;
}

void encode(const Order& value, schema::Order::Builder out) {
  encode(value.stamp, out.initStamp());
  encode(value.agent, out.initAgent());
  const auto& assignments = value.assignments;
  codec::fillStructs(assignments, out.initAssignments(static_cast<uint32_t>(assignments.size())),
                     [](const Assignment& assignment, schema::Assignment::Builder one) {
                       encode(assignment, one);
                     });
}

Order decode(schema::Order::Reader in) {
  return {decode(in.getStamp()), decode(in.getAgent()),
          codec::structs<Assignment>(in.getAssignments(),
                                     [](schema::Assignment::Reader one) { return decode(one); })};
}

void encode(const SliceReport& value, schema::SliceReport::Builder out) {
  out.setTensor(reader(value.tensor));
  out.setFile(reader(value.file));
  out.setOffsetBytes(value.offset);
  out.setSizeBytes(value.bytes);
  auto shape = out.initShape(static_cast<uint32_t>(value.shape.size()));
  for (uint32_t i = 0; i < shape.size(); ++i) shape.set(i, value.shape[i]);
  auto dimensions = static_cast<uint32_t>(value.ranges.size());
  auto begin = out.initRangeBegin(dimensions);
  auto end = out.initRangeEnd(dimensions);
  for (uint32_t i = 0; i < dimensions; ++i) {
    begin.set(i, value.ranges[i].first);
    end.set(i, value.ranges[i].second);
  }
  out.setChecksum(reader(value.checksum));
}

SliceReport decode(schema::SliceReport::Reader in) {
  SliceReport out;
  out.tensor = text(in.getTensor());
  out.file = text(in.getFile());
  out.offset = in.getOffsetBytes();
  out.bytes = in.getSizeBytes();
  for (auto dimension : in.getShape()) out.shape.push_back(dimension);
  auto begin = in.getRangeBegin();
  auto end = in.getRangeEnd();
  KJ_REQUIRE(begin.size() == end.size(), "a slice's ranges do not pair", begin.size(), end.size());
  for (uint32_t i = 0; i < begin.size(); ++i) out.ranges.emplace_back(begin[i], end[i]);
  out.checksum = text(in.getChecksum());
  return out;
}

void encode(const RankReport& value, schema::RankReport::Builder out) {
  encode(value.ref, out.initRef());
  out.setPhase(static_cast<uint8_t>(value.phase));
  out.setReason(static_cast<uint8_t>(value.reason));
  out.setMessage(reader(value.message));
  out.setPid(value.pid);
  out.setProcessStartTime(value.processStartTime);
  out.setLoadedBytes(value.loaded.count);
  out.setTotalBytes(value.total.count);
  out.setRendezvous(reader(value.rendezvous));
  out.setFirstError(reader(value.firstError));
  codec::fillStructs(
      value.slices, out.initSlices(static_cast<uint32_t>(value.slices.size())),
      [](const SliceReport& slice, schema::SliceReport::Builder one) { encode(slice, one); });
  auto joined = out.initJoinedRanks(static_cast<uint32_t>(value.joined.size()));
  for (uint32_t i = 0; i < joined.size(); ++i) joined.set(i, value.joined[i].value);
}

RankReport decode(schema::RankReport::Reader in) {
  RankReport out;
  out.ref = decode(in.getRef());
  out.phase = checked(in.getPhase(), ReplicaPhase::LOST, "rank phase");
  out.reason = checked(in.getReason(), Reason::SLO_MISSED, "reason");
  out.message = text(in.getMessage());
  out.pid = in.getPid();
  out.processStartTime = in.getProcessStartTime();
  out.loaded = {in.getLoadedBytes()};
  out.total = {in.getTotalBytes()};
  out.rendezvous = text(in.getRendezvous());
  out.firstError = text(in.getFirstError());
  out.slices = codec::structs<SliceReport>(
      in.getSlices(), [](schema::SliceReport::Reader one) { return decode(one); });
  for (auto rank : in.getJoinedRanks()) out.joined.push_back({rank});
  return out;
}

namespace {

template <class List>
void fillReports(const std::vector<RankReport>& ranks, List out) {
  codec::fillStructs(ranks, out, [](const RankReport& rank, schema::RankReport::Builder one) {
    encode(rank, one);
  });
}

template <class List>
std::vector<RankReport> reports(List in) {
  return codec::structs<RankReport>(in, [](schema::RankReport::Reader one) { return decode(one); });
}

}  // namespace

void encode(const WorkerHello& value, schema::WorkerHello::Builder out) {
  out.setProtocolVersion(1);
  out.setCluster(reader(value.cluster));
  encode(value.node, out.initNode());
  encode(value.incarnation, out.initIncarnation());
  encode(value.highestOrder, out.initHighestOrder());
  fillReports(value.ranks, out.initRanks(static_cast<uint32_t>(value.ranks.size())));
  encode(value.token, out.initToken());
}

WorkerHello decode(schema::WorkerHello::Reader in) {
  return {.cluster = text(in.getCluster()),
          .node = decode(in.getNode()),
          .incarnation = decode(in.getIncarnation()),
          .highestOrder = decode(in.getHighestOrder()),
          .ranks = reports(in.getRanks()),
          .token = decode(in.getToken())};
}

void encode(const NodeReport& value, schema::NodeReport::Builder out) {
  out.setSequence(value.sequence);
  fillReports(value.ranks, out.initRanks(static_cast<uint32_t>(value.ranks.size())));
  encode(value.obeyed, out.initObeyed());
  auto unhealthy = out.initUnhealthy(static_cast<uint32_t>(value.unhealthy.size()));
  uint32_t place = 0;
  for (const auto& [index, why] : value.unhealthy) {
    auto one = unhealthy[place++];
    one.setIndex(index.value);
    one.setWhy(reader(why));
  }
}

NodeReport decode(schema::NodeReport::Reader in) {
  NodeReport out{in.getSequence(), reports(in.getRanks()), decode(in.getObeyed())};
  for (auto one : in.getUnhealthy()) out.unhealthy[{one.getIndex()}] = text(one.getWhy());
  return out;
}

}  // namespace muster
