// Columns of text, aligned by their widest cell.
#pragma once

#include "cli/terminal.h"

#include <optional>
#include <string>
#include <vector>

namespace muster::cli {

// How coloured text is made; gives the text itself where there is no colour.
using Painter = std::function<std::string(Paint, std::string_view)>;
Painter plainPainter();

struct Cell {
  // NOLINTNEXTLINE(google-explicit-constructor): a row is written as a list of texts.
  Cell(std::string text) : text(std::move(text)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Cell(const char* text) : text(text) {}
  Cell(std::string text, std::optional<Paint> paint) : text(std::move(text)), paint(paint) {}

  std::string text;
  std::optional<Paint> paint = std::nullopt;
};

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  // A table without a header line.
  Table() = default;

  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool isEmpty() const { return rows_.empty(); }

  // Lines with their line breaks, each after `indent` spaces; columns are two spaces apart and the
  // last one is not filled up.
  std::string toText(const Painter& paint, size_t indent = 0) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<Cell>> rows_;
};

// The colour of a phase; it only repeats what the word says.
std::optional<Paint> paintOf(std::string_view phase);

}  // namespace muster::cli
