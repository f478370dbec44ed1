#include "base/http_client.h"

#include <kj/debug.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace muster {
namespace {

constexpr size_t STATUS_LINE_MAX = 1024;

std::string urlOf(const HttpProbe& probe) {
  return "http://127.0.0.1:" + std::to_string(probe.port) + probe.path;
}

bool isUsable(std::string_view path) {
  return path.starts_with('/') &&
         std::ranges::all_of(path, [](char c) { return c > ' ' && c < 0x7f; });
}

// "HTTP/1.1 200 OK" gives 200; nothing when the line is no status line.
std::optional<int> parseStatus(std::string_view line) {
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ') return std::nullopt;
  int status = 0;
  for (char digit : line.substr(9, 3)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    status = status * 10 + (digit - '0');
  }
  bool ended = line.size() == 12 || line[12] == ' ' || line[12] == '\r';
  if (!ended || status < 100) return std::nullopt;
  return status;
}

// One exchange; lives as long as its promise.
class Exchange {
 public:
  explicit Exchange(const HttpProbe& probe) : url_(urlOf(probe)) {
    request_ = "GET " + probe.path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(probe.port) +
               "\r\nUser-Agent: muster\r\nAccept: */*\r\nConnection: close\r\n\r\n";
  }

  kj::Promise<Result<int>> run(kj::Own<kj::NetworkAddress> address) {
    auto connected = address->connect();
    return connected.attach(kj::mv(address)).then([this](kj::Own<kj::AsyncIoStream> stream) {
      stream_ = kj::mv(stream);
      return stream_->write(request_.data(), request_.size()).then([this] { return readStatus(); });
    });
  }
  const std::string& url() const { return url_; }

 private:
  // Reads until the first line is whole. Interim answers (1xx) are not asked for and count as they
  // are.
  kj::Promise<Result<int>> readStatus() {
    return stream_->tryRead(piece_.data(), 1, piece_.size())
        .then([this](size_t got) -> kj::Promise<Result<int>> {
          line_.append(piece_.data(), got);
          auto end = line_.find('\n');
          if (end == std::string::npos && got > 0 && line_.size() < STATUS_LINE_MAX)
            return readStatus();
          auto status = parseStatus(std::string_view(line_).substr(0, end));
          if (end == std::string::npos || !status) {
            return Result<int>(
                Refusal{RefusalCode::HEALTH_CHECK_FAILED, "GET " + url_ + ": no HTTP answer"});
          }
          return Result<int>(*status);
        });
  }

  std::string url_;
  std::string request_;
  std::string line_;
  std::array<char, 256> piece_{};
  kj::Own<kj::AsyncIoStream> stream_;
};

Refusal explain(const std::string& url, const kj::Exception& exception) {
  bool late = exception.getType() == kj::Exception::Type::OVERLOADED;  // what kj's timer says
  return {late ? RefusalCode::TIMED_OUT : RefusalCode::HEALTH_CHECK_FAILED,
          "GET " + url + ": " + (late ? "no answer in time" : exception.getDescription().cStr()),
          {},
          {}};
}

}  // namespace

kj::Promise<Result<int>> probeHttp(kj::Network& network, kj::Timer& timer, HttpProbe probe) {
  if (!isUsable(probe.path)) {
    return Result<int>(
        Refusal{RefusalCode::INVALID_VALUE,
                "readiness path \"" + probe.path + "\", wanted one that starts with /"});
  }
  auto exchange = kj::heap<Exchange>(probe);
  auto& running = *exchange;
  auto answer = network.parseAddress("127.0.0.1", probe.port)
                    .then([&running](kj::Own<kj::NetworkAddress> address) {
                      return running.run(kj::mv(address));
                    });
  return timer.timeoutAfter(probe.deadline.nanos * kj::NANOSECONDS, kj::mv(answer))
      .then([](Result<int> status) { return status; },
            [&running](kj::Exception&& exception) -> Result<int> {
              return explain(running.url(), exception);
            })
      .attach(kj::mv(exchange));
}

}  // namespace muster
