// Lists, texts and checked enums between values and Cap'n Proto; helpers of the codec files only.
#pragma once

#include <capnp/list.h>
#include <kj/debug.h>

#include <map>
#include <string>
#include <vector>

namespace muster::codec {

inline std::string text(capnp::Text::Reader in) { return {in.cStr(), in.size()}; }
inline kj::ArrayPtr<const char> chars(const std::string& in) { return {in.data(), in.size()}; }
inline capnp::Text::Reader reader(const std::string& in) { return {in.c_str(), in.size()}; }

// Fills a struct list element by element with the overloads of encode().
template <class Value, class List, class Encode>
void fillStructs(const std::vector<Value>& in, List out, Encode&& encodeOne) {
  for (uint32_t i = 0; i < in.size(); ++i) encodeOne(in[i], out[i]);
}

template <class Value, class List, class Decode>
std::vector<Value> structs(List in, Decode&& decodeOne) {
  std::vector<Value> out;
  out.reserve(in.size());
  for (auto element : in) out.push_back(decodeOne(element));
  return out;
}

template <class List>
void fillTexts(const std::vector<std::string>& in, List out) {
  for (uint32_t i = 0; i < in.size(); ++i) out.set(i, reader(in[i]));
}

inline std::vector<std::string> texts(capnp::List<capnp::Text>::Reader in) {
  std::vector<std::string> out;
  out.reserve(in.size());
  for (auto element : in) out.push_back(text(element));
  return out;
}

template <class Pairs>
void fillPairs(const std::map<std::string, std::string>& in, Pairs out) {
  uint32_t i = 0;
  for (const auto& [key, value] : in) {
    auto pair = out[i++];
    pair.setKey(reader(key));
    pair.setValue(reader(value));
  }
}

template <class Pairs>
std::map<std::string, std::string> pairs(Pairs in) {
  std::map<std::string, std::string> out;
  for (auto pair : in) out[text(pair.getKey())] = text(pair.getValue());
  return out;
}

// An enumerator from its number; FAILED when the number is above `last`.
template <class Enum>
Enum checked(uint8_t number, Enum last, const char* what) {
  KJ_REQUIRE(number <= static_cast<uint8_t>(last), "unknown number in a message", what, number);
  return static_cast<Enum>(number);
}

}  // namespace muster::codec
