#include "coordinator/http_watch.h"

#include "coordinator/core/hints.h"
#include "coordinator/http_lists.h"

#include <utility>

namespace muster::coordinator {
namespace {

Result<WatchKinds> parseKinds(const QueryParameters& query) {
  if (auto refusal = refuseParameters(query, {"kinds"})) return *refusal;
  auto given = query.find("kinds");
  if (given == query.end()) return watchKinds();
  WatchKinds kinds;
  std::string rest = given->second + ",";
  for (size_t comma; (comma = rest.find(',')) != std::string::npos; rest.erase(0, comma + 1)) {
    std::string kind = rest.substr(0, comma);
    std::vector<std::string> known(watchKinds().begin(), watchKinds().end());
    if (!watchKinds().contains(kind)) {
      return Refusal{RefusalCode::INVALID_VALUE,
                     "kinds names \"" + kind + "\", which cannot be watched" + hint(kind, known)};
    }
    kinds.insert(kind);
  }
  return kinds;
}

HttpResponse eventStream(WatchHub& hub, WatchKinds kinds, std::optional<WatchPosition> from) {
  HttpResponse response;
  response.contentType = "text/event-stream";
  response.headers["Cache-Control"] = "no-store";
  response.stream = hub.watch(std::move(kinds), std::move(from));
  return response;
}

}  // namespace

kj::Promise<HttpResponse> answerWatch(ApiContext& context, WatchHub& hub,
                                      const HttpRequest& request) {
  auto kinds = parseKinds(request.query);
  if (!kinds) return problemResponse(kinds.refusal(), request.requestId);
  auto given = request.headers.find("last-event-id");
  if (given == request.headers.end()) return eventStream(hub, std::move(*kinds), {});
  auto from = parseWatchPosition(given->second);
  if (!from) {
    return problemResponse(
        {RefusalCode::INVALID_VALUE, "Last-Event-ID is not the id of an event of this stream"},
        request.requestId);
  }
  bool isOurs = context.coordinator.state().history == from->history;
  return awaitIndex(context.coordinator, isOurs ? from->index : LogIndex{})
      .then([&hub, kinds = std::move(*kinds), from = *from,
             id = request.requestId](Result<Done> come) -> HttpResponse {
        if (!come) return problemResponse(come.refusal(), id);
        return eventStream(hub, kinds, from);
      });
}

}  // namespace muster::coordinator
