// Every method of every interface x every role. The schema files are read, so that an interface or
// a method without a row fails here.
#include "coordinator/authorization.h"

#include "protocol/coordinator.capnp.h"
#include "protocol/peer.capnp.h"
#include "protocol/peer_services.capnp.h"
#include "protocol/weights.capnp.h"
#include "protocol/worker.capnp.h"

#include <capnp/schema.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace muster::coordinator::authorization_test {
namespace {

std::map<std::string, capnp::InterfaceSchema> interfaces() {
  return {{"Gate", capnp::Schema::from<schema::Gate>()},
          {"ClusterApi", capnp::Schema::from<schema::ClusterApi>()},
          {"Backup", capnp::Schema::from<schema::Backup>()},
          {"Peer", capnp::Schema::from<schema::Peer>()},
          {"PeerServices", capnp::Schema::from<schema::PeerServices>()},
          {"WorkerGate", capnp::Schema::from<schema::WorkerGate>()},
          {"WorkerSession", capnp::Schema::from<schema::WorkerSession>()},
          {"Agent", capnp::Schema::from<schema::Agent>()},
          {"WeightGate", capnp::Schema::from<schema::WeightGate>()},
          {"ModelFiles", capnp::Schema::from<schema::ModelFiles>()}};
}

std::set<std::string> interfacesInFile(const std::string& file) {
  std::ifstream in(std::string(MUSTER_SOURCE_DIR) + "/protocol/" + file);
  std::stringstream text;
  text << in.rdbuf();
  std::string content = text.str();
  std::set<std::string> names;
  std::regex pattern(R"((^|\n)\s*interface (\w+))");
  for (std::sregex_iterator i(content.begin(), content.end(), pattern), end; i != end; ++i) {
    names.insert((*i)[2]);
  }
  return names;
}

std::string nameOf(const std::string& interface, capnp::InterfaceSchema::Method method) {
  return interface + "." + method.getProto().getName().cStr();
}

// Who may call what, written a second time, as roles that may; a human role is named with every
// higher one.
using Roles = std::set<Role>;
const Roles HUMANS = {Role::VIEWER, Role::OPERATOR, Role::ADMIN};
const Roles HUMANS_AND_PEERS = {Role::VIEWER, Role::OPERATOR, Role::ADMIN, Role::COORDINATOR};
const Roles CHANGERS = {Role::OPERATOR, Role::ADMIN};
const std::map<std::string, Roles> EXPECTED = {
    {"Gate.hello", Roles(std::begin(ALL_ROLES), std::end(ALL_ROLES))},
    {"Gate.api", HUMANS_AND_PEERS},
    {"Gate.worker", {Role::WORKER}},
    {"Gate.peer", {Role::COORDINATOR}},
    {"Gate.follow", Roles(std::begin(ALL_ROLES), std::end(ALL_ROLES))},
    {"Peer.heartbeat", {Role::COORDINATOR}},
    {"Peer.suspects", {Role::COORDINATOR}},
    {"Peer.batches", {Role::COORDINATOR}},
    {"Peer.damaged", {Role::COORDINATOR}},
    {"PeerServices.olderRows", {Role::COORDINATOR}},
    {"PeerServices.actFor", {Role::COORDINATOR}},
    {"ClusterApi.plan", HUMANS},
    {"ClusterApi.apply", CHANGERS},
    {"ClusterApi.delete", CHANGERS},
    {"ClusterApi.scale", CHANGERS},
    {"ClusterApi.cordon", CHANGERS},
    {"ClusterApi.uncordon", CHANGERS},
    {"ClusterApi.drain", CHANGERS},
    {"ClusterApi.get", HUMANS},
    {"ClusterApi.why", HUMANS},
    {"ClusterApi.logs", HUMANS},
    {"ClusterApi.adminStatus", HUMANS_AND_PEERS},
    {"ClusterApi.stepDown", {Role::ADMIN}},
    {"ClusterApi.backup", {Role::ADMIN}},
    {"ClusterApi.history", HUMANS},
    {"Backup.read", {Role::ADMIN}},
    {"WorkerGate.attach", {Role::WORKER}},
    {"WorkerSession.heartbeat", {Role::WORKER}},
    {"Agent.obey", {Role::COORDINATOR}},
    {"Agent.inspectModel", {Role::COORDINATOR}},
    {"Agent.readLog", {Role::COORDINATOR}},
    {"WorkerSession.weightSources", {Role::WORKER}},
    {"WeightGate.open", {Role::WORKER}},
    {"ModelFiles.read", {Role::WORKER}},
    {"ModelFiles.textSize", {Role::WORKER}},
};

TEST(Authorization, knowsEveryInterfaceOfTheSchemas) {
  std::set<std::string> inFiles = interfacesInFile("coordinator.capnp");
  inFiles.merge(interfacesInFile("peer.capnp"));
  inFiles.merge(interfacesInFile("peer_services.capnp"));
  inFiles.merge(interfacesInFile("worker.capnp"));
  inFiles.merge(interfacesInFile("weights.capnp"));
  std::set<std::string> known;
  for (const auto& [name, schema] : interfaces()) known.insert(name);
  EXPECT_EQ(inFiles, known);
}

TEST(Authorization, everyMethodHasOneRowOfItsName) {
  size_t methods = 0;
  for (const auto& [interface, schema] : interfaces()) {
    for (auto method : schema.getMethods()) {
      std::string name = nameOf(interface, method);
      SCOPED_TRACE(name);
      methods++;
      size_t rows = 0;
      for (const Permission& row : allPermissions()) {
        if (row.interfaceId != schema.getProto().getId() || row.methodId != method.getOrdinal())
          continue;
        rows++;
        EXPECT_EQ(row.method, name);
      }
      EXPECT_EQ(rows, 1u) << "a method without a row is denied to everybody";
    }
  }
  EXPECT_EQ(allPermissions().size(), methods);
}

TEST(Authorization, everyMethodTimesEveryRole) {
  for (const auto& [interface, schema] : interfaces()) {
    for (auto method : schema.getMethods()) {
      std::string name = nameOf(interface, method);
      auto expected = EXPECTED.find(name);
      ASSERT_NE(expected, EXPECTED.end()) << name;
      for (Role role : ALL_ROLES) {
        SCOPED_TRACE(name + " by " + std::string(toText(role)));
        auto denied = denial({role, "someone"}, schema.getProto().getId(), method.getOrdinal());
        EXPECT_EQ(denied == nullptr, expected->second.contains(role));
      }
    }
  }
}

TEST(Authorization, deniesWhatItDoesNotKnow) {
  uint64_t gate = capnp::typeId<schema::Gate>();
  for (Role role : ALL_ROLES) {
    SCOPED_TRACE(std::string(toText(role)));
    EXPECT_TRUE(denial({role, "x"}, gate, 999) != nullptr);
    EXPECT_TRUE(denial({role, "x"}, 0x1234567890abcdefull, 0) != nullptr);
  }
}

TEST(Authorization, saysWhoAndWhat) {
  KJ_IF_MAYBE (no, denial({Role::WORKER, "gpu01"}, capnp::typeId<schema::ClusterApi>(), 1)) {
    EXPECT_EQ(no->getDescription(),
              "E0202 not allowed: worker/gpu01 may not call ClusterApi.apply");
    EXPECT_EQ(no->getType(), kj::Exception::Type::FAILED);
  } else {
    ADD_FAILURE() << "allowed";
  }
}

}  // namespace
}  // namespace muster::coordinator::authorization_test
