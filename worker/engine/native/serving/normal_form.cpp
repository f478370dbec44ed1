#include "worker/engine/native/serving/normal_form.h"

#include <kj/debug.h>
#include <utf8proc.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace muster::worker {

std::string composed(std::string_view text) {
  if (text.empty()) return {};
  utf8proc_uint8_t* made = nullptr;
  auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &made, options);
  std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(made, &std::free);
  KJ_REQUIRE(length >= 0, "utf8proc", utf8proc_errmsg(length));
  return {reinterpret_cast<const char*>(made), static_cast<size_t>(length)};
}

}  // namespace muster::worker
