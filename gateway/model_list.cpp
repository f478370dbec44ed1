#include "gateway/model_list.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace muster::gateway {
namespace {

using Json = nlohmann::ordered_json;

// The fields of OpenAI's object, and how many replicas are ready.
Json objectOf(const Model& model) {
  auto ready = std::ranges::count_if(
      model.routes, [](const RoutePointer& route) { return route->takesRequests(); });
  return {{"id", model.name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "muster"},
          {"root", model.routes.front()->model},
          {"replicas", model.routes.size()},
          {"ready_replicas", ready}};
}

HttpResponse responseOf(const Json& json) {
  HttpResponse response;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

}  // namespace

HttpResponse modelList(const RouteTable& table) {
  Json data = Json::array();
  for (const auto& name : table.names()) data.push_back(objectOf(*table.find(name)));
  return responseOf({{"object", "list"}, {"data", std::move(data)}});
}

std::optional<HttpResponse> modelObject(const RouteTable& table, const std::string& name) {
  const Model* model = table.find(name);
  if (model == nullptr) return std::nullopt;
  return responseOf(objectOf(*model));
}

}  // namespace muster::gateway
