// A real program of the process engine behind its proxy, as gateways meet it.
#include "base/pki.h"
#include "protocol/endpoint_note.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/tls_peer.h"
#include "tests/worker/rank_set_fixture.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

namespace muster::worker::behind_tls_test {
namespace {

using testing::HasSubstr;

// A program that answers requests: what it was asked, after a word from the test.
constexpr const char* SLOW_SERVER = R"(
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            with open(sys.argv[1]) as gate: gate.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["MUSTER_PORT"])), Handler).serve_forever()
)";

class BehindTls : public RankSetTest {
 public:
  ~BehindTls() noexcept override {}

 protected:
  BehindTls() {
    createCa(pki_.path(), {"prod"});
    environment_.tls = issue(Role::WORKER, "w1");
    ::mkfifo(gate_.c_str(), 0600);
    one_ = script("");
    one_.engine.command = {"/usr/bin/python3", "-c", SLOW_SERVER, gate_};
    one_.engine.ready.httpPath = "/health";
  }

  TlsFiles issue(Role role, const char* name) {
    return issueCertificate(pki_.path(), {.identity = {role, name}, .cluster = {"prod"}},
                            pki_.path());
  }
  // Where gateways are told to ask.
  uint16_t startAndFindPort() {
    ranks_->obey({one_});
    waitForPhase(ReplicaPhase::READY);
    return announcedPort();
  }
  uint16_t announcedPort() {
    constexpr std::string_view HERE = "https://127.0.0.1:";
    std::string endpoint(endpointOf(report().message));
    EXPECT_TRUE(endpoint.starts_with(HERE)) << report().message;
    return static_cast<uint16_t>(std::stoul(endpoint.substr(HERE.size())));
  }
  TlsPeer ask(uint16_t port, const std::string& path) {
    TlsPeer peer(port, issue(Role::GATEWAY, "gw1"));
    peer.send("GET " + path + " HTTP/1.0\r\n\r\n");
    return peer;
  }

  TemporaryFolder pki_;
  std::string gate_ = (model_.root / "gate").string();
  Assignment one_;
};

TEST_F(BehindTls, aRequestUnderWayOutlivesTheAgent) {
  uint16_t port = startAndFindPort();
  auto pid = report().pid;
  auto waiting = ask(port, "/slow");
  ranks_ = nullptr;
  ranks_ = makeRanks(environment_, data_);
  ranks_->restore({one_});
  waitForPhase(ReplicaPhase::READY);
  EXPECT_EQ(report().pid, pid);
  EXPECT_EQ(announcedPort(), port);
  SampleModel::write(gate_, "go on\n");
  auto rest = waiting.readToEnd();
  EXPECT_THAT(rest.bytes, testing::EndsWith("\r\n\r\n/slow"));
  EXPECT_EQ(rest.end, TlsEnd::WHOLE);
}

TEST_F(BehindTls, theProgramIsTheRanksOwnProcessAndHasNoChild) {
  startAndFindPort();
  std::string pid = std::to_string(report().pid);
  EXPECT_THAT(contentOf("/proc/" + pid + "/cmdline"), testing::StartsWith("/usr/bin/python3"));
  EXPECT_EQ(contentOf("/proc/" + pid + "/task/" + pid + "/children"), "");
}

TEST_F(BehindTls, whenTheProgramEndsNothingListensAnyMore) {
  uint16_t port = startAndFindPort();
  auto under = ask(port, "/slow");
  ::kill(static_cast<pid_t>(report().pid), SIGKILL);
  EXPECT_EQ(under.readToEnd().bytes, "");
  waitForPhase(ReplicaPhase::FAILED);
  waitFor("nobody listens",
          [&] { return kj::runCatchingExceptions([&] { ask(port, "/"); }) != nullptr; });
}

TEST_F(BehindTls, aRankWhoseProxyIsGoneIsUnwell) {
  one_.timeouts.stall =
      5_s;  // also how long it may take to begin, on a machine that does much else
  startAndFindPort();
  auto program = static_cast<pid_t>(report().pid);
  pid_t proxy = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    auto pid = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    if (pid > 0 && pid != program && ::getpgid(pid) == program) proxy = pid;
  }
  ASSERT_NE(proxy, 0);
  ::kill(proxy, SIGTERM);  // ignored: the program may have answers under way
  EXPECT_EQ(ask(announcedPort(), "/health").readToEnd().end, TlsEnd::WHOLE);
  ::kill(proxy, SIGKILL);
  waitForPhase(ReplicaPhase::FAILED);
  EXPECT_EQ(report().reason, Reason::HEALTH_CHECK_FAILED);
}

TEST_F(BehindTls, whatKeepsTheProxyFromListeningIsTheRanksFirstError) {
  environment_.address = "192.0.2.1";  // of documentation, and of no machine
  ranks_->obey({one_});
  waitForPhase(ReplicaPhase::FAILED);
  EXPECT_THAT(report().firstError, HasSubstr("muster: error: cannot listen on port"));
  EXPECT_THAT(report().firstError, HasSubstr("of 192.0.2.1: Cannot assign requested address"));
}

}  // namespace
}  // namespace muster::worker::behind_tls_test
