#include "coordinator/leader_api.h"

#include "base/kj_time.h"
#include "coordinator/rpc_api.h"
#include "protocol/peer_services.capnp.h"

namespace muster::coordinator {
namespace {

constexpr Duration REACH_DEADLINE = 1_s;

LeaderApi overConnection(kj::Own<RpcConnection> connection, const PeerIdentity& caller,
                         const std::string& address) {
  auto own = connection->bootstrap<schema::Gate>().apiRequest().send().getApi();
  auto request = own.castAs<schema::PeerServices>().actForRequest();
  request.setCaller(commonName(caller).c_str());
  request.setAddress(address.c_str());
  return {request.send().getApi(), kj::mv(connection)};
}

}  // namespace

kj::Promise<Result<LeaderApi>> reachLeader(ApiContext& context, PeerIdentity caller,
                                           std::string address) {
  Coordinator& coordinator = context.coordinator;
  if (coordinator.leading()) {
    auto local = makeRpcApi(context)(RpcPeer{caller, address});
    return Result<LeaderApi>(LeaderApi{kj::mv(local), {}});
  }
  const auto& view = coordinator.view();
  bool isKnown = view && !view->leaderAddress.empty() && view->leader != coordinator.id();
  if (!isKnown) return Result<LeaderApi>(coordinator.notLeader());
  const CoordinatorEnvironment& env = context.env();
  auto dialled = connectRpc(env.transport, env.timer, view->leaderAddress, Role::COORDINATOR);
  return withDeadline(env.timer, REACH_DEADLINE, "reaching the leader", kj::mv(dialled))
      .then(
          [caller = kj::mv(caller), address = kj::mv(address)](kj::Own<RpcConnection> connection) {
            return Result<LeaderApi>(overConnection(kj::mv(connection), caller, address));
          })
      .catch_([leader = view->leader](kj::Exception&& why) -> Result<LeaderApi> {
        return Refusal{RefusalCode::NO_LEADER,
                       "coordinator " + leader.value +
                           " leads and is not reached: " + why.getDescription().cStr()};
      });
}

}  // namespace muster::coordinator
