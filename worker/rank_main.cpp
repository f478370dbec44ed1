// muster-rank: one rank of the native engine. Started by the agent, which talks to it over its
// control socket; it outlives the agent and is found again there. It also starts other engines
// behind TLS and then is that engine.
#include "base/event_loop.h"
#include "base/no_stack_traces.h"
#include "base/rpc.h"
#include "base/short_socket_path.h"
#include "base/unix_control.h"
#include "worker/engine/native/native_rank.h"
#include "worker/engine/native/operation_board.h"
#include "worker/engine/native/rank_control.h"
#include "worker/engine/process/proxied_program.h"

#include <kj/debug.h>

#include <cstdio>
#include <string>
#include <vector>

namespace muster::worker {
namespace {

constexpr int EXIT_USAGE = 2;
constexpr kj::Duration TASK_DEADLINE = 120 * kj::SECONDS;

// A rank that nobody gave a task has lost its agent at the worst moment; it must not stay for ever.
kj::Promise<void> leaveWithoutTask(kj::Timer& timer, const NativeRank& rank) {
  return timer.afterDelay(TASK_DEADLINE).then([&timer, &rank]() -> kj::Promise<void> {
    if (rank.report().ref == RankRef{}) return kj::READY_NOW;
    return kj::NEVER_DONE;
  });
}

int serve(const std::string& socketPath) {
  EventLoop loop(TerminationSignals::CAPTURE);
  SystemRandom random;
  OperationBoard board;
  // In the rank's folder, where it was started. It can do without: only its last operation will not
  // be told if it hangs.
  auto published = board.publish(OPERATION_BOARD_NAME);
  if (!published) std::fprintf(stderr, "muster-rank: %s\n", published.refusal().text.c_str());
  NativeRank rank(loop.network(), loop.timer(), random, board);
  auto stopped = kj::newPromiseAndFulfiller<void>();
  RpcServer server(loop.timer(), [&](const RpcPeer&) {
    return schema::RankControl::Client(
        kj::heap<RankControlServer>(rank, [&] { stopped.fulfiller->fulfill(); }));
  });
  ShortSocketPath socket(socketPath);
  auto listener = listenUnix(loop.network(), socket.path, server.acceptor()).wait(loop.waitScope());
  auto signalled = loop.onTermination().ignoreResult();
  stopped.promise.exclusiveJoin(kj::mv(signalled))
      .exclusiveJoin(leaveWithoutTask(loop.timer(), rank))
      .wait(loop.waitScope());
  return 0;
}

int serveBehindTls(const std::vector<std::string>& words) {
  auto program = parseProxiedProgram(words);
  if (program) return runBehindTls(*program);
  std::fprintf(stderr, "muster-rank: error: %s\n", program.refusal().text.c_str());
  return EXIT_USAGE;
}

int run(const std::vector<std::string>& words) {
  if (!words.empty() && words[0] == BEHIND_TLS)
    return serveBehindTls({words.begin() + 1, words.end()});
  if (words.size() == 2 && words[0] == "--control") return serve(words[1]);
  std::fputs("usage: muster-rank --control SOCKET    (started by muster-worker)\n", stderr);
  return EXIT_USAGE;
}

}  // namespace
}  // namespace muster::worker

int main(int argc, char** argv) {
  muster::NoStackTraces quiet;
  kj::_::Debug::setLogLevel(kj::LogSeverity::INFO);
  int code = 1;
  auto failed = kj::runCatchingExceptions(
      [&] { code = muster::worker::run(std::vector<std::string>(argv + 1, argv + argc)); });
  KJ_IF_MAYBE (exception, failed) {
    std::fprintf(stderr, "muster-rank: error: %s\n", exception->getDescription().cStr());
  }
  return code;
}
