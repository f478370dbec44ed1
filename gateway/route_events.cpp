#include "gateway/route_events.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace muster::gateway {
namespace {

using RouteJson = nlohmann::json;

[[noreturn]] void wrong(const std::string& what) { throw std::invalid_argument(what); }

uint64_t hexNumber(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc{} || end != text.data() + text.size())
    wrong("a guid of " + std::string(text));
  return number;
}

// "3-<32 hex digits>"
HistoryId parseHistory(const std::string& text) {
  size_t dash = text.find('-');
  if (dash == std::string::npos || text.size() != dash + 33) wrong("history \"" + text + "\"");
  HistoryId history;
  auto [end, error] = std::from_chars(text.data(), text.data() + dash, history.number);
  if (error != std::errc{} || end != text.data() + dash) wrong("history \"" + text + "\"");
  history.guid.high = hexNumber(std::string_view(text).substr(dash + 1, 16));
  history.guid.low = hexNumber(std::string_view(text).substr(dash + 17, 16));
  return history;
}

std::string toText(const HistoryId& history) {
  return std::to_string(history.number) + "-" + muster::toText(history.guid);
}

Route parseRoute(const std::string& id, const RouteJson& in) {
  Route route;
  route.id = id;
  route.deployment = in.at("deployment");
  route.model = in.at("model");
  route.aliases = in.at("aliases").get<std::vector<std::string>>();
  // An older coordinator knows no balance, a newer one may know more words than we do.
  if (auto word = in.find("balance"); word != in.end() && word->is_string()) {
    route.balance = parseBalance(word->get<std::string>());
  }
  route.generation = in.at("generation");
  route.node = in.at("node");
  route.address = in.at("address");
  route.weight = std::max<uint32_t>(in.at("weight").get<uint32_t>(), 1);
  route.state = in.at("state");
  route.message = in.at("message");
  if (in.at("progress").is_number()) route.progress = in.at("progress").get<double>();
  return route;
}

RouteJson toObject(const Route& route) {
  return {{"deployment", route.deployment},
          {"model", route.model},
          {"aliases", route.aliases},
          {"balance", route.balance ? RouteJson(toText(*route.balance)) : RouteJson()},
          {"generation", route.generation},
          {"node", route.node},
          {"address", route.address},
          {"weight", route.weight},
          {"state", route.state},
          {"message", route.message},
          {"progress", route.progress ? RouteJson(*route.progress) : RouteJson()}};
}

void takeObjects(RouteEvent& event, const RouteJson& list) {
  for (const auto& one : list) {
    if (one.at("kind") != "route") continue;
    std::string id = one.at("id");
    event.changed[id] = parseRoute(id, one.at("object"));
  }
}

RouteEvent readEvent(std::string_view name, const RouteJson& data) {
  RouteEvent event;
  event.position = {parseHistory(data.at("history")), {data.at("index").get<uint64_t>()}};
  if (name == "snapshot") {
    takeObjects(event, data.at("items"));
    return event;
  }
  if (name != "change") wrong("event \"" + std::string(name) + "\"");
  event.kind = RouteEvent::Kind::CHANGE;
  takeObjects(event, data.at("changed"));
  for (const auto& one : data.at("removed")) {
    if (one.at("kind") == "route") event.removed.push_back(one.at("id"));
  }
  return event;
}

}  // namespace

Result<RouteEvent> parseRouteEvent(std::string_view name, std::string_view data) {
  try {
    return readEvent(name, RouteJson::parse(data));
  } catch (const RouteJson::parse_error& error) {
    return Refusal{RefusalCode::INVALID_SYNTAX,
                   std::string("an event is no JSON: ") + error.what()};
  } catch (const std::exception& error) {
    return Refusal{RefusalCode::INVALID_VALUE,
                   std::string("an event is not what it should be: ") + error.what()};
  }
}

std::string toText(const ViewPosition& position) {
  return toText(position.history) + "/" + std::to_string(position.index.value);
}

std::string toJson(const RouteTable& table) {
  RouteJson items = RouteJson::array();
  for (const auto& [id, route] : table.routes()) {
    items.push_back({{"kind", "route"}, {"id", id}, {"object", toObject(*route)}});
  }
  const ViewPosition position = table.position().value_or(ViewPosition{});
  RouteJson out = {{"version", 1},
                   {"history", toText(position.history)},
                   {"index", position.index.value},
                   {"items", std::move(items)}};
  return out.dump(-1, ' ', false, RouteJson::error_handler_t::replace) + "\n";
}

Result<RouteTable> parseRouteTable(std::string_view json) {
  auto event = parseRouteEvent("snapshot", json);
  if (!event) return event.refusal();
  RouteTable table;
  table.take(std::move(*event));
  return table;
}

}  // namespace muster::gateway
