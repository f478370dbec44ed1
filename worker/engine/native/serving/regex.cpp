#include "worker/engine/native/serving/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

namespace muster::worker {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

std::string messageOf(int error) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// PCRE2's own \s also knows U+180E, which Unicode took from the spaces in version 6.3.
std::string withUnicodeSpaces(const std::string& pattern) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    bool escape = pattern[i] == '\\' && i + 1 < pattern.size();
    if (!escape) {
      text += pattern[i];
      continue;
    }
    char what = pattern[++i];
    if (what == 's') {
      text += "\\p{White_Space}";
    } else if (what == 'S') {
      text += "\\P{White_Space}";
    } else {
      text += {'\\', what};
    }
  }
  return text;
}

PCRE2_SPTR asPcre(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

struct Regex::Compiled {
  std::unique_ptr<pcre2_code, FreeCode> code;
};

Result<Regex> Regex::compile(const std::string& pattern) {
  std::string adapted = withUnicodeSpaces(pattern);
  int error = 0;
  PCRE2_SIZE place = 0;
  // Without \C nothing can match half a character.
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  std::unique_ptr<pcre2_code, FreeCode> code(
      pcre2_compile(asPcre(adapted), adapted.size(), options, &error, &place, nullptr));
  if (code == nullptr) {
    return Refusal{
        RefusalCode::MODEL_CONFIG_INVALID,
        "pattern " + pattern + ": " + messageOf(error) + " at offset " + std::to_string(place)};
  }
  return Regex(std::make_shared<Compiled>(Compiled{std::move(code)}));
}

Result<std::vector<TextRange>> Regex::findAll(std::string_view text) const {
  std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
  std::vector<TextRange> found;
  size_t at = 0;
  while (at < text.size()) {
    // The text is valid, and checking it again for each match would take quadratic time.
    int count = pcre2_match(compiled_->code.get(), asPcre(text), text.size(), at,
                            PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), nullptr);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) {
      return Refusal{RefusalCode::TOO_LARGE, "the text cannot be split: " + messageOf(count)};
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    if (range[1] <= at || range[0] > range[1]) {  // \K in a look-around moves the start
      return Refusal{RefusalCode::MODEL_CONFIG_INVALID, "the pattern matches backwards"};
    }
    found.push_back({range[0], range[1]});
    at = range[1];
  }
  return found;
}

}  // namespace muster::worker
