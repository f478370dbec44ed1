// muster-history-client: writes and reads a few deployments that others write and read as well, and
// keeps a history of it (tests/support/history.h) for the checker of linearizability. A deployment
// of this kind is a register: its value is an argument of a program that never runs. Ends by
// SIGTERM, after the call under way.
//
// Usage: muster-history-client CONTEXT CLIENT OUTPUT REGISTERS WRITES
// CLIENT is its number; WRITES of ten operations are writes. Lines carry beside the operation:
// request_id, epoch and index of an answer; or refusal. Times are of CLOCK_MONOTONIC.
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "base/random.h"
#include "cli/cluster_client.h"
#include "cli/context.h"
#include "tests/support/history.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <time.h>

namespace {

using namespace muster;           // NOLINT(google-build-using-namespace): a main of its own
using namespace muster::cli;      // NOLINT(google-build-using-namespace): as above
using namespace muster::testing;  // NOLINT(google-build-using-namespace): as above

// Longer than a takeover takes, and short enough to see who never answers.
constexpr Duration CALL_TIMEOUT = 20_s;
constexpr Duration PAUSE = 20_ms;

int64_t monotonicNow() {
  timespec now{};
  KJ_SYSCALL(clock_gettime(CLOCK_MONOTONIC, &now));
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string document(const std::string& name, const std::string& value) {
  return "version: 1\nname: " + name + "\nmodel: file:/srv/none\ngpus: 1\nreplicas: 0\n" +
         "engine: {kind: process, command: [sleep, \"" + value + "\"]}\n";
}

// What a deployment says of itself, as DeploymentModel does.
std::string seenIn(const nlohmann::json& item) {
  return item.at("spec").at("engine").at("command").at(1).get<std::string>() + " x " +
         std::to_string(item.at("spec").at("replicas").get<int>());
}

class Client {
 public:
  struct Work {
    uint64_t client;
    uint64_t registers;
    uint64_t writes;  // of ten operations
  };

  Client(ClusterClient& cluster, Random& random, kj::Timer& timer, Work work,
         const std::string& path)
      : cluster_(cluster), random_(random), timer_(timer), work_(work), out_(path) {
    KJ_REQUIRE(out_.good(), "cannot write", path.c_str());
  }

  Co<void> run() {
    while (!ended_) {
      Operation operation = draw("reg-" + std::to_string(random_.below(work_.registers)));
      co_await carryOut(operation);
      co_await timer_.afterDelay(toKj(PAUSE));
    }
  }

  void end() { ended_ = true; }

 private:
  // A third of the writes say which revision they want to replace.
  Operation draw(const std::string& key) {
    Operation operation;
    operation.client = work_.client;
    operation.key = key;
    if (random_.below(10) >= work_.writes) return operation;
    operation.kind = OperationKind::APPLY;
    operation.argument =
        "c" + std::to_string(work_.client) + "-" + std::to_string(++writes_) + " x 0";
    auto seen = revisions_.find(key);
    bool expects = random_.below(3) == 0 && seen != revisions_.end();
    if (expects) operation.expected = std::to_string(seen->second);
    return operation;
  }

  ClusterCall callOf(const Operation& operation) {
    if (operation.kind == OperationKind::READ) return getCall("deployments", operation.key);
    std::string value = operation.argument.substr(0, operation.argument.find(' '));
    ApplyArguments arguments{.documents = {document(operation.key, value), "register.yaml"}};
    if (operation.expected) arguments.expected = {std::stoull(*operation.expected)};
    return applyCall(arguments);
  }

  Co<void> carryOut(Operation operation) {
    operation.invokedNs = monotonicNow();
    ClusterCall call = callOf(operation);
    auto answer = co_await cluster_.call(call);
    int64_t now = monotonicNow();
    nlohmann::ordered_json more;
    if (answer) {
      operation.returnedNs = now;
      read(answer->json, operation);
      more = {{"request_id", toText(answer->request.guid)},
              {"epoch", answer->epoch.value},
              {"index", answer->index.value}};
    } else {
      note(answer.refusal(), now, operation);
      more = {{"refusal", toText(answer.refusal().code) + " " + answer.refusal().text},
              {"gave_up_ns", now}};
    }
    write(operation, more);
  }

  // A refusal that is an answer closes the operation; after any other nobody knows.
  static void note(const Refusal& refusal, int64_t now, Operation& operation) {
    bool conflict = refusal.code == RefusalCode::REVISION_CONFLICT;
    if (!conflict && refusal.code != RefusalCode::NOT_FOUND) return;
    operation.returnedNs = now;
    operation.outcome = conflict ? OperationOutcome::CONFLICT : OperationOutcome::NOT_FOUND;
  }

  void read(const std::string& text, Operation& operation) {
    auto json = nlohmann::json::parse(text);
    bool isRead = operation.kind == OperationKind::READ;
    const auto& rows = json.at(isRead ? "items" : "deployments");
    if (rows.empty()) {
      operation.outcome = OperationOutcome::NOT_FOUND;
      return;
    }
    operation.revision = rows[0].at("revision").get<uint64_t>();
    if (isRead) operation.value = seenIn(rows[0]);
    revisions_[operation.key] = operation.revision;
  }

  void write(const Operation& operation, const nlohmann::ordered_json& more) {
    auto line = nlohmann::ordered_json::parse(toText(operation));
    line.update(more);
    out_ << line.dump() << std::endl;
  }

  ClusterClient& cluster_;
  Random& random_;
  kj::Timer& timer_;
  Work work_;
  std::ofstream out_;
  uint64_t writes_ = 0;
  std::map<std::string, uint64_t> revisions_;  // last seen
  bool ended_ = false;
};

int run(const std::vector<std::string>& words) {
  auto context = readContextFile(words[0]);
  KJ_REQUIRE(context.ok(), context.refusal().text.c_str());
  EventLoop loop(TerminationSignals::CAPTURE);
  SystemRandom random;
  auto transport = makeTlsTransport(loop.network(), loop.timer(), context->cluster, context->tls);
  ClusterClient cluster(*transport, loop.timer(), random,
                        {.coordinators = context->coordinators, .timeout = CALL_TIMEOUT});
  Client::Work work{std::stoull(words[1]), std::stoull(words[3]), std::stoull(words[4])};
  Client client(cluster, random, loop.timer(), work, words[2]);
  kj::Promise<void> running = client.run();
  auto ending = loop.onTermination().then([&](int) { client.end(); }).eagerlyEvaluate(nullptr);
  running.wait(loop.waitScope());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() != 5) {
    std::fprintf(stderr, "usage: muster-history-client CONTEXT CLIENT OUTPUT REGISTERS WRITES\n");
    return 2;
  }
  try {
    return run(words);
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "muster-history-client: %s\n", exception.getDescription().cStr());
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "muster-history-client: %s\n", exception.what());
  }
  return 1;
}
