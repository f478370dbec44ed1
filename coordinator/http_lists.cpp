#include "coordinator/http_lists.h"

#include "coordinator/core/hints.h"
#include "coordinator/objects/deployment.h"
#include "coordinator/objects/node.h"
#include "protocol/names.h"

#include <algorithm>
#include <charconv>

namespace muster::coordinator {
namespace {

std::optional<uint64_t> parseNumber(const std::string& text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

Refusal wrongValue(const std::string& name, const std::string& value, const std::string& wanted) {
  return {RefusalCode::INVALID_VALUE, name + " is \"" + value + "\", it must be " + wanted};
}

class PageMaker {
 public:
  explicit PageMaker(const Page& page) : page_(page) {}

  // False when the page is full: there is more.
  template <class Make>
  bool add(const std::string& cursor, Make make) {
    if (items_.size() == page_.limit) return more_ = true, false;
    items_.push_back(make());
    last_ = cursor;
    return true;
  }
  Json finish() {
    Json list = listOf(std::move(items_));
    list["next_cursor"] = more_ ? Json(last_) : Json();
    return list;
  }

 private:
  const Page& page_;
  Json items_ = Json::array();
  std::string last_;
  bool more_ = false;
};

Json nodePage(const ObjectView& view, const Page& page) {
  PageMaker maker(page);
  const auto& nodes = view.state.nodes;
  for (auto node = nodes.upper_bound({page.cursor}); node != nodes.end(); ++node) {
    if (!maker.add(node->first.value, [&] { return nodeObject(view, node->second); })) break;
  }
  return maker.finish();
}

Json deploymentPage(const ObjectView& view, const Page& page) {
  PageMaker maker(page);
  const auto& deployments = view.state.deployments;
  uint64_t after = parseNumber(page.cursor).value_or(0);
  for (auto entry = deployments.upper_bound({after}); entry != deployments.end(); ++entry) {
    const DeploymentState& deployment = entry->second;
    if (page.tenant && deployment.spec.tenant != *page.tenant) continue;
    std::string cursor = std::to_string(entry->first.value);
    if (!maker.add(cursor, [&] { return deploymentObject(view, deployment); })) break;
  }
  return maker.finish();
}

}  // namespace

std::optional<Refusal> refuseParameters(const QueryParameters& query,
                                        const std::vector<std::string>& known) {
  for (const auto& [name, value] : query) {
    if (std::ranges::count(known, name) > 0) continue;
    return Refusal{RefusalCode::UNKNOWN_FIELD,
                   "there is no parameter \"" + name + "\" here" + hint(name, known)};
  }
  return std::nullopt;
}

Result<Page> parsePage(const QueryParameters& query, ListKind kind) {
  std::vector<std::string> known = {"limit", "cursor"};
  if (kind == ListKind::DEPLOYMENTS) known.emplace_back("tenant");
  if (auto refusal = refuseParameters(query, known)) return *refusal;
  Page page;
  if (auto limit = query.find("limit"); limit != query.end()) {
    auto number = parseNumber(limit->second);
    if (!number || *number == 0 || *number > PAGE_ITEMS_MAX) {
      return wrongValue("limit", limit->second, "1 to " + std::to_string(PAGE_ITEMS_MAX));
    }
    page.limit = static_cast<uint32_t>(*number);
  }
  if (auto cursor = query.find("cursor"); cursor != query.end()) {
    bool isOurs = kind == ListKind::NODES ? checkName(cursor->second, NameKind::NODE).ok()
                                          : parseNumber(cursor->second).has_value();
    if (!isOurs) return wrongValue("cursor", cursor->second, "the next_cursor of a page");
    page.cursor = cursor->second;
  }
  if (auto tenant = query.find("tenant"); tenant != query.end()) {
    auto named = checkName(tenant->second, NameKind::TENANT);
    if (!named) return named.refusal();
    page.tenant = TenantName{tenant->second};
  }
  return page;
}

Json listPage(const ObjectView& view, ListKind kind, const Page& page) {
  return kind == ListKind::NODES ? nodePage(view, page) : deploymentPage(view, page);
}

}  // namespace muster::coordinator
