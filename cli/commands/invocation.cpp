#include "cli/commands/invocation.h"

#include "cli/exit_code.h"
#include "protocol/names.h"

#include <charconv>

namespace muster::cli {

std::string Invocation::tenant() const {
  std::string given = arguments.value("--tenant");
  return given.empty() ? "default" : given;
}

ViewOptions Invocation::view() const {
  return {
      .now = clock.wallNow(),
      .tenant = tenant(),
      .paint = [this](Paint paint, std::string_view text) { return terminal.painted(paint, text); },
      .width = format.kind == OutputKind::WIDE ? Width::WIDE : Width::TABLE};
}

int Invocation::wrongUsage(const Refusal& refusal) const {
  std::string help = "muster help " + arguments.command;
  return terminal.failUsage(refusal.text, refusal.fixes.empty() ? help : refusal.fixes[0]);
}

Result<std::string> referenceIn(const Invocation& invocation, const std::string& word) {
  auto reference = parseReference(word);
  if (!reference) return reference.refusal();
  if (!reference->tenant && invocation.has("--tenant")) {
    reference->tenant = TenantName{invocation.tenant()};
  }
  return toText(*reference);
}

Result<uint32_t> numberOf(const Invocation& invocation, const std::string& flag, uint32_t fallback,
                          NumberRange range) {
  std::string text = invocation.arguments.value(flag);
  if (text.empty()) return fallback;
  uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && number >= range.least && number <= range.most) return number;
  std::string wanted = "a whole number of at least " + std::to_string(range.least);
  if (range.most != UINT32_MAX) wanted += " and at most " + std::to_string(range.most);
  return Refusal{RefusalCode::INVALID_VALUE, flag + " is \"" + text + "\", wanted " + wanted};
}

Result<int> print(Invocation& invocation, const Json& answer,
                  const std::function<std::string(const Json&)>& forPeople) {
  if (invocation.format.isForPeople()) {
    invocation.terminal.out(forPeople(printableJson(answer)));
    return EXIT_DONE;
  }
  auto text = render(answer, invocation.format, invocation.tenant());
  if (!text) return text.refusal();
  invocation.terminal.out(*text);
  return EXIT_DONE;
}

}  // namespace muster::cli
