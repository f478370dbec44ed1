#include "sharding/safetensors_json.h"

#include "sharding/text.h"

#include <nlohmann/json.hpp>

#include <set>

namespace muster::sharding {
namespace {

constexpr size_t DIMENSIONS_MAX = 16;
constexpr std::string_view METADATA = "__metadata__";

// Receives the parser's events. A header is {name: {dtype, shape: [..], data_offsets: [begin,
// end]}, ..} and perhaps
// {"__metadata__": {key: text}}; the first event that does not belong there ends the parse.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  RawHeader header;
  std::string error;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_float(double, const std::string& text) override { return unexpected(text); }
  bool binary(nlohmann::json::binary_t&) override { return unexpected("binary data"); }
  bool number_integer(int64_t value) override { return unexpected(std::to_string(value)); }

  bool number_unsigned(uint64_t value) override {
    if (!inArray_) return unexpected(std::to_string(value));
    auto& numbers = field_ == "shape" ? header.tensors.back().shape : offsets_;
    if (numbers.size() == (field_ == "shape" ? DIMENSIONS_MAX : 2)) {
      return fail(here() + "more numbers than it can have");
    }
    numbers.push_back(value);
    return true;
  }

  bool string(std::string& value) override {
    if (depth_ != 2 || inArray_) return unexpected("the text " + inQuotes(value));
    if (inMetadata_) return header.metadata.emplace(field_, value).second || duplicate(field_);
    if (field_ != "dtype") return unexpected("the text " + inQuotes(value));
    header.tensors.back().dtype = value;
    return true;
  }

  bool start_object(size_t) override {
    if (inArray_ || depth_ == 2) return unexpected("an object");
    if (++depth_ == 1) return true;
    inMetadata_ = name_ == METADATA;
    seen_.clear();
    offsets_.clear();
    if (!inMetadata_) header.tensors.push_back({name_, {}, {}, 0, 0});
    return true;
  }

  bool key(std::string& text) override {
    if (depth_ == 1) {
      name_ = text;
      field_.clear();
      return names_.insert(text).second || fail("tensor " + inQuotes(text) + " appears twice");
    }
    field_ = text;
    if (!seen_.insert(text).second) return duplicate(text);
    bool known = text == "dtype" || text == "shape" || text == "data_offsets";
    return inMetadata_ || known || fail(here() + "is no field of a tensor");
  }

  bool end_object() override {
    if (--depth_ != 1 || inMetadata_) return true;
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!seen_.contains(field)) {
        return fail("tensor " + inQuotes(name_) + ": " + field + " is missing");
      }
    }
    if (offsets_.size() != 2) {
      return fail("tensor " + inQuotes(name_) + ": data_offsets must be two numbers");
    }
    header.tensors.back().begin = offsets_[0];
    header.tensors.back().end = offsets_[1];
    return true;
  }

  bool start_array(size_t) override {
    bool wanted = depth_ == 2 && !inMetadata_ && !inArray_ && field_ != "dtype";
    if (!wanted) return unexpected("an array");
    return inArray_ = true;
  }

  bool end_array() override {
    inArray_ = false;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return fail("header is not JSON at byte " + std::to_string(position));
  }

 private:
  std::string here() const {
    if (depth_ == 0) return "header: ";
    std::string place = (inMetadata_ ? "" : "tensor ") + inQuotes(name_) + ": ";
    return field_.empty() ? place : place + inQuotes(field_) + " ";
  }
  bool fail(std::string text) {
    if (error.empty()) error = std::move(text);
    return false;
  }
  bool unexpected(const std::string& what) { return fail(here() + "cannot hold " + what); }
  bool duplicate(const std::string& field) {
    return fail("tensor " + inQuotes(name_) + ": " + inQuotes(field) + " appears twice");
  }

  int depth_ = 0;
  bool inArray_ = false;
  bool inMetadata_ = false;
  std::string name_;   // the key of depth 1 that we are in
  std::string field_;  // the key of depth 2
  std::set<std::string> names_;
  std::set<std::string> seen_;  // fields of this object
  std::vector<uint64_t> offsets_;
};

}  // namespace

Result<RawHeader> parseHeaderJson(std::string_view text) {
  HeaderReader reader;
  bool ok = nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  if (!ok) return Refusal{RefusalCode::MODEL_FILE_CORRUPT, reader.error};
  return std::move(reader.header);
}

}  // namespace muster::sharding
