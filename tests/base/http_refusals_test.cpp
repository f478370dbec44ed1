// What the HTTP port refuses, over raw sockets: whatever the library behind it says.
#include "tests/base/http_fixture.h"

namespace muster::http_refusals_test {
namespace {

class HttpRefusals : public HttpServerTest {};

struct Case {
  const char* name;
  std::string request;
  int status;
};

std::string manyHeaders(size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += "X-" + std::to_string(i) + ": value\r\n";
  return text;
}

const std::string SECOND = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

std::vector<Case> lengthCases() {
  const std::string POST = "POST / HTTP/1.1\r\nHost: x\r\n";
  return {
      {"length and chunks",
       POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND, 400},
      {"chunks and length",
       POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SECOND, 400},
      {"same length twice", POST + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + SECOND,
       400},
      {"two lengths", POST + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" + SECOND, 400},
      {"list of lengths", POST + "Content-Length: 5, 5\r\n\r\nhello", 400},
      {"negative length", POST + "Content-Length: -3\r\n\r\n", 400},
      {"signed length", POST + "Content-Length: +3\r\n\r\nabc", 400},
      {"hex length", POST + "Content-Length: 0x3\r\n\r\nabc", 400},
      {"empty length", POST + "Content-Length: \r\n\r\n", 400},
      {"huge length", POST + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {"other encoding", POST + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"encoding before chunks", POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"chunked twice",
       POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"encoding that looks like chunked", POST + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
       400},
      {"chunks in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"bad chunk size", POST + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"negative chunk size", POST + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
      {"chunk longer than said", POST + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
       400},
      {"chunk line without end",
       POST + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(70'000, 'a'), 400},
      {"body above the limit", POST + "Content-Length: 1001\r\n\r\n", 413},
      {"chunks above the limit",
       POST + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x'), 413},
      {"too large to continue", POST + "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413},
  };
}

std::vector<Case> headCases() {
  const std::string GET = "GET / HTTP/1.1\r\nHost: x\r\n";
  return {
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", GET + "Host: y\r\n\r\n", 400},
      {"bare LF", "GET / HTTP/1.1\nHost: x\n\n", 400},
      {"one bare LF", GET + "A: b\nC: d\r\n\r\n", 400},
      {"bare CR", GET + "A: b\rC: d\r\n\r\n", 400},
      {"folded header", GET + "A: b\r\n c\r\n\r\n", 400},
      {"header folded by a tab", GET + "A: b\r\n\tc\r\n\r\n", 400},
      {"space before the request", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"space before the colon", GET + "A : b\r\n\r\n", 400},
      {"no colon", GET + "A\r\n\r\n", 400},
      {"no name", GET + ": b\r\n\r\n", 400},
      {"zero byte", GET + std::string("A: \0b\r\n\r\n", 9), 400},
      {"TLS on a plain port", std::string("\x16\x03\x01\x02\x00\x01\x00", 7), 400},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"no version", "GET /\r\n\r\n", 400},
      {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400},
      {"absolute target", "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"tunnel", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"other expectation", GET + "Expect: wonders\r\n\r\n", 417},
      {"broken escape", "GET /?a=%G1 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"query name twice", "GET /?a=1&a=2 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"many headers", GET + manyHeaders(33'000) + "\r\n", 431},
      {"long header", GET + "A: " + std::string(33'000, 'a') + "\r\n\r\n", 431},
      {"long target", "GET /" + std::string(33'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
      {"endless head", GET + "A: " + std::string(300'000, 'a'), 431},
  };
}

size_t count(std::string_view text, std::string_view word) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(word, at)) != std::string_view::npos; ++at) ++found;
  return found;
}

TEST_F(HttpRefusals, answersOnceThenClosesAndNeverReachesTheHandler) {
  start(describing(), {.body = Bytes{1000}});
  for (auto cases : {lengthCases(), headCases()}) {
    for (const auto& c : cases) {
      SCOPED_TRACE(c.name);
      std::string answer;
      ASSERT_NO_THROW(answer = talk(c.request));
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::to_string(c.status) + " ")) << answer;
      EXPECT_EQ(count(answer, "HTTP/1.1 "), 1u) << answer;
      EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos) << answer;
      EXPECT_NE(answer.find("Content-Type: application/problem+json\r\n"), std::string::npos);
      EXPECT_NE(answer.find("\"code\":\"E0"), std::string::npos);
      EXPECT_TRUE(requests_.empty());
      requests_.clear();
    }
  }
}

TEST_F(HttpRefusals, takesWhatIsJustWithinTheLimits) {
  start(describing(), {.body = Bytes{1000}});
  std::string head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n";
  head += "A: " + std::string(32 * 1024 - head.size() - 8, 'a') + "\r\n\r\n";
  ASSERT_EQ(head.size(), 32u * 1024 - 1);
  std::string answer = talk(head + std::string(1000, 'b'));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer.substr(0, 200);
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].body.size(), 1000u);
}

TEST_F(HttpRefusals, aTrailerIsNeitherAHeaderNorARequest) {
  start(describing());
  auto client = connect();
  client.send(
      "POST /one HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Role\r\n\r\n"
      "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Role: admin\r\nGET: /smuggled HTTP/1.1\r\n\r\n"
      "GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  client.readToEnd();
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(requests_[0].body, "abcde");
  EXPECT_FALSE(requests_[0].headers.contains("x-role"));
  EXPECT_EQ(requests_[1].path, "/two");
  EXPECT_FALSE(requests_[1].headers.contains("x-role"));
}

TEST_F(HttpRefusals, exceptionsAreLoggedAndNotShown) {
  start([](HttpRequest request) -> kj::Promise<HttpResponse> {
    if (request.path == "/sync") KJ_FAIL_REQUIRE("canary-detail", request.path.c_str());
    if (request.path == "/busy") return KJ_EXCEPTION(OVERLOADED, "canary-detail");
    return KJ_EXCEPTION(FAILED, "canary-detail");
  });
  struct {
    const char* path;
    const char* status;
  } const CASES[] = {{"/sync", "500 "}, {"/async", "500 "}, {"/busy", "503 "}};
  for (const auto& c : CASES) {
    SCOPED_TRACE(c.path);
    auto answer =
        talk(std::string("GET ") + c.path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(answer.starts_with(std::string("HTTP/1.1 ") + c.status)) << answer;
    EXPECT_EQ(answer.find("canary"), std::string::npos) << answer;
    EXPECT_EQ(answer.find(".cpp"), std::string::npos) << answer;
    EXPECT_EQ(answer.find("Retry-After: ") != std::string::npos, c.status[2] == '3');
  }
  server_ = nullptr;
  ASSERT_EQ(logLines_.size(), 3u);
  for (const auto& line : logLines_)
    EXPECT_NE(line.find("canary-detail"), std::string::npos) << line;
}

TEST_F(HttpRefusals, aHeaderOfAHandlerCannotSplitTheAnswer) {
  start([](HttpRequest) -> kj::Promise<HttpResponse> {
    return HttpResponse{.headers = {{"X-Name", "a\r\nX-Evil: 1\r\n\r\nHTTP/1.1 200 OK"}},
                        .body = "b"};
  });
  auto answer = talk("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.find("\r\nX-Evil"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nb"));
}

TEST_F(HttpRefusals, aPortInUseIsNamed) {
  start(describing());
  std::string address = "127.0.0.1:" + std::to_string(server_->port());
  auto second = HttpServer::start({address}, describing(), logger_, random_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.refusal().code, RefusalCode::PORT_IN_USE);
  EXPECT_NE(second.refusal().text.find(address), std::string::npos) << second.refusal().text;
}

TEST_F(HttpRefusals, anAddressOrTlsFileThatCannotBeUsedIsNamed) {
  for (const char* wrong : {"7400", "127.0.0.1", "127.0.0.1:http", "192.0.2.1:0", ""}) {
    auto server = HttpServer::start({wrong}, describing(), logger_, random_);
    ASSERT_FALSE(server.ok()) << wrong;
    EXPECT_EQ(server.refusal().code, RefusalCode::INVALID_VALUE) << server.refusal().text;
  }
  auto server =
      HttpServer::start({"127.0.0.1:0", {}, TlsFiles{"/no/ca.pem", "/no/a.crt", "/no/a.key"}},
                        describing(), logger_, random_);
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.refusal().text.find("/no/ca.pem"), std::string::npos) << server.refusal().text;
}

}  // namespace
}  // namespace muster::http_refusals_test
