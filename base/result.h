// An expected "no" is a value: Result<T> holds either a T or a Refusal that says what, why and what
// next.
#pragma once

#include "base/refusal_code.h"

#include <kj/debug.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace muster {

// One wrong place in an input. Line and column start with 1; 0 where there is none.
struct InputError {
  RefusalCode code = RefusalCode::INVALID_VALUE;
  std::string path;  // of the field, for instance "engine.args.port"
  uint32_t line = 0;
  uint32_t column = 0;
  std::string message;     // what is wrong, with the value seen
  std::string hint;        // what to write instead; may be empty
  std::string sourceLine;  // the line of the file, for showing; may be empty
  bool operator==(const InputError&) const = default;
};

struct Refusal {
  RefusalCode code = RefusalCode::INTERNAL;
  std::string text;                     // names the thing, the value seen and the value wanted
  std::vector<InputError> errors = {};  // all errors of an input at once
  std::vector<std::string> fixes = {};  // commands or changes that would help, best first
  bool operator==(const Refusal&) const = default;
};

template <class T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;` and `return Refusal{..};` read best.
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Refusal refusal) : content_(std::in_place_index<1>, std::move(refusal)) {}

  bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }

  const T& value() const& {
    KJ_REQUIRE(ok(), "value of a refusal was asked", refusal().text.c_str());
    return std::get<0>(content_);
  }
  T& value() & {
    KJ_REQUIRE(ok(), "value of a refusal was asked", refusal().text.c_str());
    return std::get<0>(content_);
  }
  T&& value() && {
    KJ_REQUIRE(ok(), "value of a refusal was asked", refusal().text.c_str());
    return std::get<0>(std::move(content_));
  }
  const Refusal& refusal() const { return std::get<1>(content_); }

  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

 private:
  std::variant<T, Refusal> content_;
};

// The value of a call that only succeeds or is refused.
struct Done {
  bool operator==(const Done&) const = default;
};

}  // namespace muster
