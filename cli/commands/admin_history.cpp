// admin history: lists as they were at an index or a time.
#include "cli/commands/commands.h"
#include "cli/commands/session.h"

#include <charconv>

namespace muster::cli {
namespace {

Result<PastPoint> pointOf(const std::string& text) {
  uint64_t index = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  bool isNumber = error == std::errc() && end == text.data() + text.size();
  if (isNumber && index > 0) return PastPoint{{index}, {}};
  if (auto wall = parseRfc3339(text); wall && !isNumber) return PastPoint{{}, *wall};
  return Refusal{RefusalCode::INVALID_VALUE,
                 "--at is \"" + text +
                     "\", wanted a log index above 0 or a time such as 2031-01-02T03:04:05Z"};
}

}  // namespace

Result<int> runAdminHistory(Invocation& invocation) {
  if (!invocation.has("--at")) {
    return invocation.terminal.failUsage("muster admin history needs --at TIME|INDEX",
                                         "muster help admin history");
  }
  auto point = pointOf(invocation.arguments.value("--at"));
  if (!point) return invocation.wrongUsage(point.refusal());
  std::string kind = invocation.arguments.word("KIND");
  if (kind.empty()) kind = "deployments";
  auto session = Session::open(invocation);
  if (!session) return session.refusal();
  auto reply = (*session)->ask(historyCall(*point, kind, invocation.arguments.word("REF")));
  if (!reply) return reply.refusal();
  std::string time = textAt(reply->json, "/time");
  invocation.terminal.hint("as of index " + textAt(reply->json, "/index") +
                           (time.empty() ? "" : ", " + time));
  return print(invocation, reply->json, [&](const Json& shown) {
    const Json& items = listAt(shown, "/items");
    return items.empty() ? "no " + kind + "\n" : viewList(kind, items, invocation.view());
  });
}

}  // namespace muster::cli
