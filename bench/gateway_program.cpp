#include "bench/gateway_program.h"

#include "base/pki.h"
#include "tests/support/child_program.h"

#include <kj/debug.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace muster::bench {
namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

ListeningProgram::ListeningProgram(pid_t pid, uint16_t port) : pid_(pid), port_(port) {
  for (int i = 0; !listens(port); ++i) {
    KJ_REQUIRE(i < 1000, "a server does not listen", port);
    usleep(10'000);
  }
}
ListeningProgram::~ListeningProgram() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool listens(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(port);
  bool is = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return is;
}

TlsFiles makeBenchPki(const BenchFolder& folder) {
  ClusterName cluster{"bench"};
  createCa(folder.path(), cluster);
  auto issue = [&](Role role, const char* name) {
    return issueCertificate(folder.path(), {.identity = {role, name}, .cluster = cluster},
                            folder.path());
  };
  issue(Role::GATEWAY, "gw1");
  return issue(Role::COORDINATOR, "co1");
}

pid_t spawnGateway(const BenchFolder& folder, const GatewayProgram& program, uint16_t port) {
  const std::string& root = folder.path();
  std::filesystem::create_directories(root + "/data");
  if (!program.view.empty()) folder.write("data/view.json", program.view);
  std::string config = folder.write(
      "gateway.toml", "cluster = \"bench\"\nid = \"gw1\"\ncoordinators = [\"" +
                          program.coordinator + "\"]\ndata_dir = \"" + root +
                          "/data\"\n[http]\nlisten = \"127.0.0.1:" + std::to_string(port) +
                          "\"\nthreads = " + std::to_string(program.threads) + "\n[tls]\nca = \"" +
                          root + "/ca.crt\"\ncertificate = \"" + root +
                          "/gateway-gw1.crt\"\nkey = \"" + root + "/gateway-gw1.key\"\n");
  return support::spawnProgram("muster-gateway", {"--config", config}, root + "/gateway.log");
}

std::string routeItem(uint16_t backend, uint64_t generation) {
  return R"({"kind":"route","id":"default/chat/0","object":{"deployment":"chat","model":"chat",)"
         R"("aliases":[],"generation":)" +
         std::to_string(generation) + R"(,"node":"w1","address":"http://127.0.0.1:)" +
         std::to_string(backend) + R"(","weight":1,"state":"Ready","message":"","progress":1.0}})";
}

}  // namespace muster::bench
