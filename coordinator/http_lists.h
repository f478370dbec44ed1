// Pages of lists over HTTP.
#pragma once

#include "base/result.h"
#include "coordinator/objects/json.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::coordinator {

enum class ListKind { NODES, DEPLOYMENTS };

constexpr uint32_t PAGE_ITEMS_MAX = 1'000;

struct Page {
  uint32_t limit = PAGE_ITEMS_MAX;
  std::string cursor;  // `next_cursor` of the page before; empty: the first page
  std::optional<TenantName> tenant;
};

using QueryParameters = std::map<std::string, std::string>;

// Why these parameters are not taken; nothing when all are among `known`.
std::optional<Refusal> refuseParameters(const QueryParameters& query,
                                        const std::vector<std::string>& known);

// Reads `limit`, `cursor` and, for deployments, `tenant`. Refuses UNKNOWN_FIELD and INVALID_VALUE.
Result<Page> parsePage(const QueryParameters& query, ListKind kind);

// {version, items, next_cursor}; the cursor is null on the last page. A page starts behind its
// cursor's object whether that still exists or not.
Json listPage(const ObjectView& view, ListKind kind, const Page& page);

}  // namespace muster::coordinator
