// Orders, and where weights are, between values and Cap'n Proto.
#include "protocol/codec.h"
#include "protocol/codec_lists.h"

#include <cstring>

namespace muster {

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

void encode(const WeightSources& value, schema::WeightSources::Builder out) {
  encode(value.manifest, out.initManifest());
  codec::fillStructs(value.peers, out.initPeers(static_cast<uint32_t>(value.peers.size())),
                     [](const WeightPeer& peer, schema::WeightSources::Peer::Builder one) {
                       one.setNode(reader(peer.node.value));
                       one.setAddress(reader(peer.address));
                     });
  codec::fillPairs(value.checksums,
                   out.initChecksums(static_cast<uint32_t>(value.checksums.size())));
  out.setMissing(reader(value.missing));
}

WeightSources decode(schema::WeightSources::Reader in) {
  return {.manifest = decode(in.getManifest()),
          .peers = codec::structs<WeightPeer>(
              in.getPeers(),
              [](schema::WeightSources::Peer::Reader one) {
                return WeightPeer{{text(one.getNode())}, text(one.getAddress())};
              }),
          .checksums = codec::pairs(in.getChecksums()),
          .missing = text(in.getMissing())};
}

}  // namespace muster
