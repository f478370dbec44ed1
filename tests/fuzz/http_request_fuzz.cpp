// What a client may send to our HTTP ports: over a real connection, in pieces, with an end. Every
// answer is whole, and the connection ends.
#include "base/http_connection.h"
#include "tests/fuzz/fuzz.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <string>

namespace muster {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// Answers each request at once.
class Answering : public HttpIoSink {
 public:
  void onRequest(uint64_t exchange, HttpRequest request) override {
    fuzz::check(request.path.starts_with('/') || request.path == "*", "a path is a path");
    auto waiting = shared->waiting.find(exchange);
    fuzz::check(waiting != shared->waiting.end(), "who asks is waiting");
    waiting->second->answer({.body = "{}"}, HttpBodyKind::WHOLE);
  }
  void onCancel(uint64_t) override {}
  void onRoom(uint64_t) override {}
  void onDrained() override {}

  HttpShared* shared = nullptr;
};

class Client {
 public:
  Client()
      : acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        shared_{.limits = {.head = 4_KiB, .body = 16_KiB, .lingerDeadline = 0_s},
                .requestIdPrefix = "fuzz-",
                .logger = Logger({.output = [](std::string_view) {}}),
                .sink = sink_,
                .failure = problemResponse} {
    sink_.shared = &shared_;
  }

  // The server's answers to `input`.
  std::string ask(std::string_view input) {
    tcp::socket ours(io_, nextSource()), theirs(io_);
    boost::system::error_code failed;
    // The fuzzer's own clock interrupts now and then.
    ours.connect(acceptor_.local_endpoint(), failed);
    if (failed && failed != asio::error::interrupted) fuzz::check(false, failed.message().c_str());
    acceptor_.accept(theirs);
    startHttpConnection(shared_, std::move(theirs), nullptr, HttpAdmission::SERVE);
    asio::write(ours, asio::buffer(input), failed);
    ours.shutdown(tcp::socket::shutdown_send, failed);
    std::string answers;
    asio::async_read(ours, asio::dynamic_buffer(answers), [](auto...) {});
    io_.restart();
    io_.run();
    fuzz::check(shared_.connections.empty(), "the connection is over");
    return answers;
  }

 private:
  // Each connection leaves its port busy for a minute, and a thousand a second would use up those
  // of one address: so each comes from the next of 250 addresses.
  tcp::endpoint nextSource() {
    constexpr uint32_t FIRST = 0x7f000102;  // 127.0.1.2
    return {asio::ip::address_v4(FIRST + connections_++ % 250), 0};
  }

  asio::io_context io_;
  uint32_t connections_ = 0;
  tcp::acceptor acceptor_;
  Answering sink_;
  HttpShared shared_;
};

void checkAnswers(std::string_view answers) {
  if (answers.empty()) return;
  fuzz::check(answers.starts_with("HTTP/1.1 "), "an answer is HTTP");
  fuzz::check(answers.find("\r\n\r\n") != answers.npos, "an answer's head is whole");
}

}  // namespace
}  // namespace muster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static muster::Client client;
  muster::checkAnswers(client.ask(muster::fuzz::textOf(data, size)));
  return 0;
}
