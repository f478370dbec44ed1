#include "coordinator/watch_log.h"

#include "coordinator/objects/deployment.h"
#include "coordinator/objects/node.h"
#include "coordinator/objects/route.h"

#include <algorithm>
#include <charconv>

namespace muster::coordinator {
namespace {

const WatchKinds WATCH_KINDS = {"deployment", "node", "route"};

// "id: ...\nevent: ...\ndata: {version, history, index, epoch, <list>}\n\n", up to the lists.
std::string eventHead(const WatchPosition& position, Epoch epoch, const std::string& name) {
  return "id: " + toText(position) + "\nevent: " + name + "\ndata: {\"version\":1,\"history\":\"" +
         std::to_string(position.history.number) + "-" + toText(position.history.guid) +
         "\",\"index\":" + std::to_string(position.index.value) +
         ",\"epoch\":" + std::to_string(epoch.value);
}

std::string nameOf(const WatchKey& key) {
  return "{\"kind\":\"" + key.first + "\",\"id\":" + toText(Json(key.second));
}

// [{kind, id, object}, ...]
std::string listText(const WatchedObjects& objects, const WatchKinds& kinds) {
  std::string text;
  for (const auto& [key, json] : objects) {
    if (!kinds.contains(key.first)) continue;
    text += (text.empty() ? "" : ",") + nameOf(key) + ",\"object\":" + json + "}";
  }
  return "[" + text + "]";
}

std::string listText(const std::set<WatchKey>& removed, const WatchKinds& kinds) {
  std::string text;
  for (const auto& key : removed) {
    if (kinds.contains(key.first)) text += (text.empty() ? "" : ",") + nameOf(key) + "}";
  }
  return "[" + text + "]";
}

template <class Number>
bool readNumber(std::string_view text, Number& number, int base = 10) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc{} && end == text.data() + text.size();
}

WatchChange changeBetween(const WatchedObjects& before, const WatchedObjects& after) {
  WatchChange change;
  for (const auto& [key, json] : after) {
    auto known = before.find(key);
    if (known == before.end() || known->second != json) change.changed.emplace(key, json);
  }
  for (const auto& [key, json] : before) {
    if (!after.contains(key)) change.removed.insert(key);
  }
  return change;
}

}  // namespace

const WatchKinds& watchKinds() { return WATCH_KINDS; }

WatchedObjects watchedObjects(const State& state) {
  ObjectView view{state, nullptr, state.clusterTime};
  WatchedObjects objects;
  for (const auto& [name, node] : state.nodes) {
    objects[{"node", name.value}] = toText(nodeObject(view, node));
  }
  for (const auto& [uid, deployment] : state.deployments) {
    std::string id = deployment.spec.tenant.value + "/" + deployment.spec.name.value;
    objects[{"deployment", id}] = toText(deploymentObject(view, deployment));
    for (const auto& [number, replica] : deployment.replicas) {
      objects[{"route", routeId(deployment, number)}] =
          toText(routeObject(state, deployment, number, replica));
    }
  }
  return objects;
}

std::string toText(const WatchPosition& position) {
  return std::to_string(position.history.number) + "-" + muster::toText(position.history.guid) +
         "/" + std::to_string(position.index.value);
}

std::optional<WatchPosition> parseWatchPosition(const std::string& text) {
  size_t dash = text.find('-');
  size_t slash = text.find('/');
  if (dash == std::string::npos || slash != dash + 33) return std::nullopt;
  std::string_view all = text;
  WatchPosition position;
  bool isOurs = readNumber(all.substr(0, dash), position.history.number) &&
                readNumber(all.substr(dash + 1, 16), position.history.guid.high, 16) &&
                readNumber(all.substr(dash + 17, 16), position.history.guid.low, 16) &&
                readNumber(all.substr(slash + 1), position.index.value);
  return isOurs ? std::optional(position) : std::nullopt;
}

const WatchChange* WatchLog::take(const WatchPosition& position, Epoch epoch,
                                  WatchedObjects objects) {
  bool isSameHistory = position_ && position_->history == position.history;
  if (isSameHistory && position.index <= position_->index) return nullptr;
  WatchChange change = changeBetween(objects_, objects);
  change.position = position;
  change.epoch = epoch;
  if (!isSameHistory) {
    changes_.clear();
    knownFrom_ = position.index;
  }
  position_ = position;
  epoch_ = epoch;
  objects_ = std::move(objects);
  if (change.changed.empty() && change.removed.empty()) return nullptr;
  changes_.push_back(std::move(change));
  if (changes_.size() > CHANGES_KEPT) {
    knownFrom_ = changes_.front().position.index;
    changes_.pop_front();
  }
  return &changes_.back();
}

std::string WatchLog::snapshot(const WatchKinds& kinds) const {
  return eventHead(*position_, epoch_, "snapshot") + ",\"items\":" + listText(objects_, kinds) +
         "}\n\n";
}

std::optional<std::vector<std::string>> WatchLog::since(const WatchPosition& from,
                                                        const WatchKinds& kinds) const {
  bool isKnown = position_ && from.history == position_->history && from.index >= knownFrom_ &&
                 from.index <= position_->index;
  if (!isKnown) return std::nullopt;
  std::vector<std::string> events;
  for (const auto& change : changes_) {
    if (change.position.index <= from.index) continue;
    std::string text = eventText(change, kinds);
    if (!text.empty()) events.push_back(std::move(text));
  }
  return events;
}

std::string eventText(const WatchChange& change, const WatchKinds& kinds) {
  auto isWanted = [&](const WatchKey& key) { return kinds.contains(key.first); };
  bool hasAny = std::ranges::any_of(change.changed, isWanted, &WatchedObjects::value_type::first) ||
                std::ranges::any_of(change.removed, isWanted);
  if (!hasAny) return "";
  return eventHead(change.position, change.epoch, "change") +
         ",\"changed\":" + listText(change.changed, kinds) +
         ",\"removed\":" + listText(change.removed, kinds) + "}\n\n";
}

}  // namespace muster::coordinator
