// What agents say, in hellos and reports, between values and Cap'n Proto.
#include "protocol/codec.h"
#include "protocol/codec_lists.h"
#include "protocol/report_change.h"

namespace muster {

using codec::checked;
using codec::reader;
using codec::text;

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

void fillUnhealthy(const std::map<DeviceIndex, std::string>& devices,
                   schema::NodeReport::Builder out) {
  auto unhealthy = out.initUnhealthy(static_cast<uint32_t>(devices.size()));
  uint32_t place = 0;
  for (const auto& [index, why] : devices) {
    auto one = unhealthy[place++];
    one.setIndex(index.value);
    one.setWhy(reader(why));
  }
}

std::map<DeviceIndex, std::string> unhealthyOf(schema::NodeReport::Reader in) {
  std::map<DeviceIndex, std::string> devices;
  for (auto one : in.getUnhealthy()) devices[{one.getIndex()}] = text(one.getWhy());
  return devices;
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
  out.setWeightAddress(reader(value.weightAddress));
}

WorkerHello decode(schema::WorkerHello::Reader in) {
  return {.cluster = text(in.getCluster()),
          .node = decode(in.getNode()),
          .incarnation = decode(in.getIncarnation()),
          .highestOrder = decode(in.getHighestOrder()),
          .ranks = reports(in.getRanks()),
          .token = decode(in.getToken()),
          .weightAddress = text(in.getWeightAddress())};
}

void encode(const NodeReport& value, schema::NodeReport::Builder out) {
  out.setSequence(value.sequence);
  fillReports(value.ranks, out.initRanks(static_cast<uint32_t>(value.ranks.size())));
  encode(value.obeyed, out.initObeyed());
  fillUnhealthy(value.unhealthy, out);
}

NodeReport decode(schema::NodeReport::Reader in) {
  return {in.getSequence(), reports(in.getRanks()), decode(in.getObeyed()), unhealthyOf(in)};
}

// What is absent stays a null pointer, which is how the reader tells it from something empty.
void encode(const ReportChange& value, schema::NodeReport::Builder out) {
  out.setSequence(value.sequence);
  out.setBase(value.base);
  if (!value.ranks.empty()) {
    fillReports(value.ranks, out.initRanks(static_cast<uint32_t>(value.ranks.size())));
  }
  if (!value.gone.empty()) {
    codec::fillStructs(value.gone, out.initGoneRanks(static_cast<uint32_t>(value.gone.size())),
                       [](const RankRef& ref, schema::RankRef::Builder one) { encode(ref, one); });
  }
  if (value.obeyed) encode(*value.obeyed, out.initObeyed());
  if (value.unhealthy) fillUnhealthy(*value.unhealthy, out);
}

ReportChange decodeChange(schema::NodeReport::Reader in) {
  ReportChange out;
  out.sequence = in.getSequence();
  out.base = in.getBase();
  out.ranks = reports(in.getRanks());
  out.gone = codec::structs<RankRef>(in.getGoneRanks(),
                                     [](schema::RankRef::Reader one) { return decode(one); });
  if (in.hasObeyed()) out.obeyed = decode(in.getObeyed());
  if (in.hasUnhealthy()) out.unhealthy = unhealthyOf(in);
  return out;
}

bool saysNothingNew(schema::NodeReport::Reader in) {
  return in.getBase() != 0 && !in.hasRanks() && !in.hasGoneRanks() && !in.hasObeyed() &&
         !in.hasUnhealthy();
}

}  // namespace muster
