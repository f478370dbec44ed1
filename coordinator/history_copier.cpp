#include "coordinator/history_copier.h"

#include "base/kj_time.h"
#include "coordinator/history_part.h"
#include "protocol/codec.h"
#include "protocol/coordinator.capnp.h"

#include <algorithm>
#include <utility>

namespace muster::coordinator {
namespace {

constexpr Duration GAP_LOOK_EVERY = 1_s;  // whether anything is missing
constexpr Duration PEERS_AGAIN = 60_s;    // when nobody had more
constexpr Duration PART_DEADLINE = 5_s;
constexpr Duration PART_PAUSE_MIN = 20_ms;  // between two parts: the peers have other things to do

}  // namespace

Co<void> HistoryCopier::runCo() {
  for (;;) {
    co_await parts_.env.timer.afterDelay(toKj(GAP_LOOK_EVERY));
    if (!isWanted()) continue;
    co_await copyCo().asPromise().catch_([this](kj::Exception&& why) {
      parts_.env.logger.warn("history was not copied", {{"why", why.getDescription()}});
    });
    if (isWanted()) co_await parts_.env.timer.afterDelay(toKj(PEERS_AGAIN));
  }
}

// Until nothing is wanted, or nobody has more.
Co<void> HistoryCopier::copyCo() {
  std::vector<Source> sources = co_await connectAll();
  while (isWanted()) {
    SteadyTime asked = parts_.env.clock.steadyNow();
    StoreMeta meta = *parts_.env.store.meta();
    auto answers = co_await ask(sources, meta);
    if (!keep(std::move(answers), meta.historyFrom)) break;
    Duration took = parts_.env.clock.steadyNow() - asked;
    co_await parts_.env.timer.afterDelay(toKj(std::max(took, PART_PAUSE_MIN)));
  }
  LogIndex from = parts_.env.store.meta()->historyFrom;
  parts_.env.logger.info(isWanted() ? "no peer has older history" : "history copied from peers",
                         {{"history_from_index", from}});
}

// Those that are reached now.
Co<std::vector<HistoryCopier::Source>> HistoryCopier::connectAll() {
  std::vector<Source> sources;
  for (const PeerAddress& peer : parts_.peers) {
    using Connected = kj::Maybe<kj::Own<RpcConnection>>;
    auto dialled =
        connectRpc(parts_.env.transport, parts_.env.timer, peer.address, Role::COORDINATOR)
            .then([](kj::Own<RpcConnection> one) { return Connected(kj::mv(one)); },
                  [](kj::Exception&&) { return Connected(nullptr); });
    auto late =
        parts_.env.timer.afterDelay(toKj(PART_DEADLINE)).then([] { return Connected(nullptr); });
    Connected connected = co_await dialled.exclusiveJoin(kj::mv(late));
    KJ_IF_MAYBE (connection, connected) {
      auto api = (*connection)->bootstrap<schema::Gate>().apiRequest().send().getApi();
      Source source{kj::mv(*connection), api.castAs<schema::PeerServices>()};
      sources.push_back(kj::mv(source));
    }
  }
  co_return kj::mv(sources);
}

kj::Promise<std::vector<HistoryPart>> HistoryCopier::ask(std::vector<Source>& sources,
                                                         const StoreMeta& meta) {
  auto asked = kj::heapArrayBuilder<kj::Promise<Answer>>(sources.size());
  for (Source& source : sources) asked.add(askOne(source, meta));
  return kj::joinPromises(asked.finish()).then([](kj::Array<Answer> answers) {
    std::vector<HistoryPart> parts;
    for (Answer& answer : answers) {
      if (answer) parts.push_back(std::move(*answer));
    }
    return parts;
  });
}

// Nothing when it has none, does not answer, or is too old to know the question.
kj::Promise<HistoryCopier::Answer> HistoryCopier::askOne(Source& source, const StoreMeta& meta) {
  auto request = source.services.olderRowsRequest();
  encode(meta.history, request.initHistory());
  request.setFrom(wantedFrom(meta).value);
  request.setBefore(meta.historyFrom.value);
  kj::Promise<Answer> answer =
      request.send().then([](capnp::Response<schema::PeerServices::OlderRowsResults>&& response) {
        return decodeHistoryPart(response.getPart());
      });
  return withDeadline(parts_.env.timer, PART_DEADLINE, "asking for history", kj::mv(answer))
      .catch_([](kj::Exception&&) { return Answer(); });
}

LogIndex HistoryCopier::wantedFrom(const StoreMeta& meta) const {
  uint64_t newest = meta.applied.index.value;
  return {newest > parts_.keptEvents ? newest - parts_.keptEvents : 1};
}

bool HistoryCopier::isWanted() const {
  auto meta = parts_.env.store.meta();
  return meta && meta->historyFrom > wantedFrom(*meta);
}

// True when there is more than before. The longest part is kept.
bool HistoryCopier::keep(std::vector<HistoryPart> answers, LogIndex before) {
  auto meta = parts_.env.store.meta();  // it may have been replaced meanwhile
  if (answers.empty() || !meta || meta->historyFrom != before) return false;
  if (auto why = unfitHistory(answers, before)) {
    parts_.env.logger.error("the peers' history is not taken", {{"why", *why}});
    return false;
  }
  HistoryPart& part = *std::ranges::min_element(answers, {}, &HistoryPart::from);
  if (part.from.value > 1) {
    Instant at = part.events.empty() ? Instant{} : part.events.front().at;
    WallTime wall = part.events.empty() ? WallTime{} : part.events.front().wall;
    part.events.insert(part.events.begin(), historyBegins(part.from, at, wall));
  }
  parts_.history.addOlder(part);
  return true;
}

}  // namespace muster::coordinator
