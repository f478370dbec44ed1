#include "failover/records.h"

#include "protocol/codec.h"
#include "protocol/codec_bytes.h"
#include "protocol/log.capnp.h"

namespace muster::failover {
namespace {

constexpr uint32_t EPOCH_FORMAT_VERSION = 1;

std::string textOf(capnp::Text::Reader text) { return {text.cStr(), text.size()}; }

}  // namespace

ByteString encodeEpoch(const EpochView& view, const ClusterName& cluster) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::EpochRecord>();
  root.setFormatVersion(EPOCH_FORMAT_VERSION);
  encode(view.history, root.initHistory());
  root.setEpoch(view.epoch.value);
  root.setLeader(view.leader.value.c_str());
  encode(view.leaderGuid, root.initGuid());
  root.setSessionId(view.leaderSession);
  root.setCluster(cluster.value.c_str());
  root.setLeaderAddress(view.leaderAddress.c_str());
  return codec::canonicalBytes<schema::EpochRecord>(root.asReader());
}

EpochView decodeEpoch(const ByteString& bytes, int32_t version) {
  return codec::readCanonical<schema::EpochRecord>(bytes, [&](schema::EpochRecord::Reader root) {
    if (root.getFormatVersion() != EPOCH_FORMAT_VERSION) {
      KJ_UNIMPLEMENTED("the epoch is of a format this binary does not know",
                       root.getFormatVersion());
    }
    EpochView view;
    view.history = decode(root.getHistory());
    view.epoch = Epoch{root.getEpoch()};
    view.leader = CoordinatorId{textOf(root.getLeader())};
    view.leaderAddress = textOf(root.getLeaderAddress());
    view.leaderGuid = decode(root.getGuid());
    view.leaderSession = root.getSessionId();
    view.version = version;
    return view;
  });
}

ByteString encodeCandidate(const CandidateInfo& info) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::CandidateRecord>();
  root.setCoordinator(info.coordinator.value.c_str());
  encode(info.incarnation, root.initIncarnation());
  root.setRpcAddress(info.rpcAddress.c_str());
  root.setLogVersionMin(info.logVersionMin);
  root.setLogVersionMax(info.logVersionMax);
  encode(info.guid, root.initGuid());
  return codec::canonicalBytes<schema::CandidateRecord>(root.asReader());
}

CandidateInfo decodeCandidate(const ByteString& bytes) {
  return codec::readCanonical<schema::CandidateRecord>(
      bytes, [](schema::CandidateRecord::Reader root) {
        CandidateInfo info;
        info.coordinator = CoordinatorId{textOf(root.getCoordinator())};
        info.incarnation = decode(root.getIncarnation());
        info.rpcAddress = textOf(root.getRpcAddress());
        info.guid = decode(root.getGuid());
        info.logVersionMin = root.getLogVersionMin();
        info.logVersionMax = root.getLogVersionMax();
        return info;
      });
}

}  // namespace muster::failover
