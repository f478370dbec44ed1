#include "protocol/error_text.h"

#include "protocol/source_text.h"

#include <algorithm>

namespace muster {
namespace {

constexpr size_t LINE_SHOWN_MAX = 100;  // characters
constexpr size_t BEFORE_CARET_MAX = 60;

std::string_view characterAt(std::string_view text) {
  return text.substr(0, std::max<size_t>(utf8Length(text), 1));
}

// The line as characters, so that carets stand below what they mean; a tab takes one place.
std::vector<std::string> characters(std::string_view line) {
  std::vector<std::string> result;
  while (!line.empty()) {
    std::string_view next = characterAt(line);
    result.emplace_back(next == "\t" ? " " : next);
    line.remove_prefix(next.size());
  }
  return result;
}

// How many characters the word at `from` has: up to its closing quote, or to what ends a plain
// word.
size_t wordLength(const std::vector<std::string>& line, size_t from) {
  const std::string& first = line[from];
  if (first == "\"" || first == "'") {
    for (size_t i = from + 1; i < line.size(); ++i) {
      if (line[i] == first && line[i - 1] != "\\") return i - from + 1;
    }
    return line.size() - from;
  }
  size_t end = from + 1;
  for (; end < line.size(); ++end) {
    if (std::string_view(" ,[]{}").find(line[end]) != std::string_view::npos) break;
    if (line[end] == ":" && (end + 1 == line.size() || line[end + 1] == " ")) break;
  }
  return end - from;
}

// The part of a line that is shown, and the carets below it.
struct Excerpt {
  std::string text;
  std::string carets;
};

Excerpt makeExcerpt(const InputError& error) {
  auto line = characters(error.sourceLine);
  size_t at = error.column > 0 ? error.column - 1 : 0;
  if (at >= line.size()) {
    line.resize(at);  // beyond the end, as for something that is missing
    line.emplace_back(" ");
  }
  size_t length = wordLength(line, at);
  size_t begin = line.size() > LINE_SHOWN_MAX && at > BEFORE_CARET_MAX ? at - BEFORE_CARET_MAX : 0;
  size_t end = std::min(line.size(), begin + LINE_SHOWN_MAX);
  length = std::min(length, end - at);
  Excerpt excerpt;
  if (begin > 0) excerpt.text = "...";
  for (size_t i = begin; i < end; ++i) excerpt.text += line[i];
  if (end < line.size()) excerpt.text += "...";
  while (!excerpt.text.empty() && excerpt.text.back() == ' ') excerpt.text.pop_back();
  excerpt.carets = std::string(at - begin + (begin > 0 ? 3 : 0), ' ') + std::string(length, '^');
  return excerpt;
}

class Writer {
 public:
  explicit Writer(const ErrorTextOptions& options) : options_(options) {}

  std::string write(const Refusal& refusal) {
    if (refusal.errors.empty()) heading(refusal.code, refusal.text);
    for (const auto& error : refusal.errors) writeError(error);
    for (const auto& fix : refusal.fixes) text_ += "  " + painted("36", "help:") + " " + fix + "\n";
    return std::move(text_);
  }

 private:
  std::string painted(std::string_view sgr, std::string text) const {
    if (options_.colour == Colour::OFF) return text;
    return "\x1b[" + std::string(sgr) + "m" + text + "\x1b[0m";
  }

  void heading(RefusalCode code, const std::string& message) {
    text_ += painted("1;31", "error[" + toText(code) + "]") + ": " + message + "\n";
  }

  void writeError(const InputError& error) {
    heading(error.code, error.message);
    std::string place(options_.fileName);
    if (error.line > 0) {
      place += (place.empty() ? "line " : ":") + std::to_string(error.line) + ":" +
               std::to_string(error.column);
    }
    if (!place.empty()) text_ += "  --> " + place + "\n";
    if (error.line > 0 && !error.sourceLine.empty()) {
      writeExcerpt(error);
    } else if (!error.hint.empty()) {
      text_ += "  " + error.hint + "\n";
    }
  }

  void writeExcerpt(const InputError& error) {
    Excerpt excerpt = makeExcerpt(error);
    std::string number = std::to_string(error.line);
    std::string margin(number.size(), ' ');
    text_ += "  " + number + " | " + excerpt.text + "\n";
    text_ += "  " + margin + " | " + painted("1;31", excerpt.carets) +
             (error.hint.empty() ? "" : " " + error.hint) + "\n";
  }

  const ErrorTextOptions& options_;
  std::string text_;
};

}  // namespace

std::string toErrorText(const Refusal& refusal, const ErrorTextOptions& options) {
  return Writer(options).write(refusal);
}

}  // namespace muster
