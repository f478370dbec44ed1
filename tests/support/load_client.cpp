// muster-load-client: applies and deletes small deployments without end, and writes down
// every answer; for tests that take coordinators away meanwhile. Ends by SIGTERM, after the call
// under way.
//
// Usage: muster-load-client CONTEXT PREFIX OUTPUT MODEL [PAUSE_MS]
// PAUSE_MS: between calls, for where others need the processors as well; without it call follows on
// call.
// OUTPUT gets one JSON line per call: operation, name, start_ns and end_ns (CLOCK_MONOTONIC) and
// either request_id, epoch and index, or refusal. A line is there before the next call is sent.
#include "base/event_loop.h"
#include "base/kj_time.h"
#include "cli/cluster_client.h"
#include "cli/context.h"

#include <kj/debug.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>
#include <string>
#include <time.h>

namespace {

using namespace muster;
using namespace muster::cli;

// Longer than any change of leaders takes.
constexpr Duration CALL_TIMEOUT = 120_s;

int64_t monotonicNow() {
  timespec now{};
  KJ_SYSCALL(clock_gettime(CLOCK_MONOTONIC, &now));
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Step {
  std::string operation;
  std::string name;
  ClusterCall call;
};

// The life of the n-th deployment. It has no replicas, so that the log is all that is put under
// load.
std::vector<Step> stepsOf(const std::string& prefix, uint64_t n, const std::string& model) {
  std::string name = prefix + "-" + std::to_string(n);
  std::string text = "version: 1\nname: " + name + "\nmodel: file:" + model +
                     "\ngpus: 1\nengine: {kind: process, command: [sleep, infinity]}\n"
                     "replicas: 0\n";
  std::vector<Step> steps;
  steps.push_back({"apply", name, applyCall({.documents = {text, "load.yaml"}})});
  steps.push_back({"delete", name, deleteCall("default/" + name, DryRun::NO)});
  return steps;
}

class Load {
 public:
  Load(ClusterClient& client, kj::Timer& timer, Duration pause, const std::string& path)
      : client_(client), timer_(timer), pause_(pause), out_(path) {
    KJ_REQUIRE(out_.good(), "cannot write", path.c_str());
  }

  Co<void> run(std::string prefix, std::string model) {
    for (uint64_t n = 0; !ended_; ++n) {
      for (auto& step : stepsOf(prefix, n, model)) {
        if (ended_) co_return;
        co_await carryOut(step);
        if (pause_.nanos > 0) co_await timer_.afterDelay(toKj(pause_));
      }
    }
  }

  void end() { ended_ = true; }

 private:
  Co<void> carryOut(Step step) {
    nlohmann::ordered_json line = {
        {"operation", step.operation}, {"name", step.name}, {"start_ns", monotonicNow()}};
    auto answer = co_await client_.call(step.call);
    line["end_ns"] = monotonicNow();
    if (answer) {
      line["request_id"] = toText(answer->request.guid);
      line["epoch"] = answer->epoch.value;
      line["index"] = answer->index.value;
    } else {
      line["refusal"] = toText(answer.refusal().code) + " " + answer.refusal().text;
    }
    out_ << line.dump() << std::endl;
  }

  ClusterClient& client_;
  kj::Timer& timer_;
  Duration pause_;
  std::ofstream out_;
  bool ended_ = false;
};

int run(const std::vector<std::string>& words) {
  auto context = readContextFile(words[0]);
  KJ_REQUIRE(context.ok(), context.refusal().text.c_str());
  EventLoop loop(TerminationSignals::CAPTURE);
  SystemRandom random;
  auto transport = makeTlsTransport(loop.network(), loop.timer(), context->cluster, context->tls);
  ClusterClient client(*transport, loop.timer(), random,
                       {.coordinators = context->coordinators, .timeout = CALL_TIMEOUT});
  Duration pause{words.size() > 4 ? std::stoll(words[4]) * 1'000'000 : 0};
  Load load(client, loop.timer(), pause, words[2]);
  kj::Promise<void> running = load.run(words[1], words[3]);
  auto ending = loop.onTermination().then([&](int) { load.end(); }).eagerlyEvaluate(nullptr);
  running.wait(loop.waitScope());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() != 4 && words.size() != 5) {
    std::fprintf(stderr, "usage: muster-load-client CONTEXT PREFIX OUTPUT MODEL [PAUSE_MS]\n");
    return 2;
  }
  try {
    return run(words);
  } catch (const kj::Exception& exception) {
    std::fprintf(stderr, "muster-load-client: %s\n", exception.getDescription().cStr());
    return 1;
  }
}
