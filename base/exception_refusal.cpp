#include "base/exception_refusal.h"

#include <algorithm>

namespace muster {

Refusal refusalOf(const kj::Exception& exception) {
  std::string text = exception.getDescription().cStr();
  for (size_t at = text.find("E0"); at != std::string::npos; at = text.find("E0", at + 1)) {
    if (auto code = parseRefusalCode(text.substr(at, 5))) {
      std::string rest = text.substr(std::min(at + 6, text.size()));
      return {*code, rest};
    }
  }
  return {RefusalCode::INTERNAL, text};
}

}  // namespace muster
