#include "cli/table.h"

#include "cli/text.h"

#include <algorithm>

namespace muster::cli {
namespace {

constexpr size_t GAP = 2;

void widen(std::vector<size_t>& widths, size_t column, std::string_view text) {
  if (widths.size() <= column) widths.resize(column + 1);
  widths[column] = std::max(widths[column], columnsOf(text));
}

}  // namespace

Painter plainPainter() {
  return [](Paint, std::string_view text) { return std::string(text); };
}

std::string Table::toText(const Painter& paint, size_t indent) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < header_.size(); ++i) widen(widths, i, header_[i]);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widen(widths, i, row[i].text);
  }
  std::string text;
  auto line = [&](const std::vector<Cell>& row) {
    text += std::string(indent, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      const Cell& cell = row[i];
      text += cell.paint ? paint(*cell.paint, cell.text) : cell.text;
      bool more = std::any_of(row.begin() + static_cast<ptrdiff_t>(i) + 1, row.end(),
                              [](const Cell& later) { return !later.text.empty(); });
      if (!more) break;
      text += std::string(widths[i] - columnsOf(cell.text) + GAP, ' ');
    }
    text += "\n";
  };
  if (!header_.empty()) line({header_.begin(), header_.end()});
  for (const auto& row : rows_) line(row);
  return text;
}

std::optional<Paint> paintOf(std::string_view phase) {
  if (phase == "Ready" || phase == "serving" || phase == "free") return Paint::GOOD;
  for (std::string_view bad :
       {"Failed", "Lost", "Unreachable", "Degraded", "error", "unreachable", "unhealthy"}) {
    if (phase == bad) return Paint::BAD;
  }
  if (phase == "Stopped" || phase == "standby" || phase == "Drained") return Paint::FAINT;
  return Paint::BUSY;
}

}  // namespace muster::cli
