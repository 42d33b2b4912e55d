#include "tests/testing/browser.h"

#include <fcntl.h>
#include <httplib.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/rpc/retry.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr absl::Duration kLookInterval = absl::Milliseconds(50);
constexpr int kCallSeconds = 120;

// Reads lines until one has `wanted`; that line, or "" at the end.
std::string ReadUntilLine(int fd, const std::string& wanted) {
  std::string line;
  char c = 0;
  while (read(fd, &c, 1) == 1) {
    if (c != '\n') {
      line += c;
    } else if (absl::StrContains(line, wanted)) {
      return line;
    } else {
      line.clear();
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Browser>> Browser::Start() {
  std::unique_ptr<Browser> browser(new Browser);
  FOLDFARM_ASSIGN_OR_RETURN(browser->folder_,
                            MakeTemporaryDirectory("browser"));
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("pipe", "cannot create");
  SubprocessOptions command;
  command.argv = {
      "chromedriver", "--port=0",
      absl::StrCat("--log-path=", JoinPath(browser->folder_, "driver.log"))};
  command.descriptors = {{1, fds[1]}, {2, fds[1]}};
  auto driver = Subprocess::Spawn(command);
  close(fds[1]);
  // "ChromeDriver was started successfully on port 41207."
  const std::string said =
      driver.ok() ? ReadUntilLine(fds[0], "successfully on port ") : "";
  close(fds[0]);
  FOLDFARM_RETURN_IF_ERROR(driver.status());
  browser->driver_ = *std::move(driver);
  const size_t at = said.rfind("port ");
  int port = 0;
  if (at == std::string::npos ||
      !absl::SimpleAtoi(said.substr(at + 5, said.rfind('.') - at - 5), &port)) {
    return absl::InternalError(
        absl::StrCat("chromedriver said \"", said, "\", expected its port"));
  }
  browser->endpoint_ = absl::StrCat("http://127.0.0.1:", port);
  const Json arguments = {"--headless=new",
                          "--no-sandbox",
                          "--disable-gpu",
                          "--disable-dev-shm-usage",
                          "--disable-quic",
                          "--no-first-run",
                          "--disable-background-networking",
                          "--disable-component-update",
                          "--disable-sync",
                          "--user-data-dir=" + browser->folder_ + "/profile"};
  FOLDFARM_ASSIGN_OR_RETURN(
      const Json session,
      browser->Call("POST", "/session",
                    {{"capabilities",
                      {{"alwaysMatch",
                        {{"browserName", "chrome"},
                         {"goog:loggingPrefs", {{"browser", "ALL"}}},
                         {"goog:chromeOptions", {{"args", arguments}}}}}}}}));
  browser->session_ =
      absl::StrCat("/session/", session["sessionId"].get<std::string>());
  return browser;
}

Browser::~Browser() {
  if (!session_.empty()) Call("DELETE", "", Json()).status().IgnoreError();
  driver_.reset();
  if (!folder_.empty()) RemoveRecursively(folder_).IgnoreError();
}

absl::StatusOr<Json> Browser::Call(const std::string& method,
                                   const std::string& path, const Json& body) {
  httplib::Client client(endpoint_);
  client.set_read_timeout(kCallSeconds);
  const std::string target = absl::StrCat(session_, path);
  const httplib::Result result =
      method == "GET"      ? client.Get(target.c_str())
      : method == "DELETE" ? client.Delete(target.c_str())
                           : client.Post(target.c_str(), JsonText(body),
                                         "application/json; charset=utf-8");
  if (!result) {
    return absl::UnavailableError(absl::StrCat(
        "chromedriver: ", target, ": ", httplib::to_string(result.error())));
  }
  Json answer = ParseJson(result->body);
  if (result->status != 200 || !answer.is_object()) {
    return absl::InternalError(
        absl::StrCat("chromedriver: ", target, ": ", result->body));
  }
  return answer["value"];
}

absl::StatusOr<Json> Browser::DevTools(const std::string& command,
                                       const Json& parameters) {
  return Call("POST", "/goog/cdp/execute",
              {{"cmd", command}, {"params", parameters}});
}

absl::Status Browser::Show(int width, int height, bool dark) {
  FOLDFARM_RETURN_IF_ERROR(
      DevTools("Emulation.setDeviceMetricsOverride", {{"width", width},
                                                      {"height", height},
                                                      {"deviceScaleFactor", 1},
                                                      {"mobile", false}})
          .status());
  const Json scheme = {{"name", "prefers-color-scheme"},
                       {"value", dark ? "dark" : "light"}};
  return DevTools("Emulation.setEmulatedMedia",
                  {{"features", Json::array({scheme})}})
      .status();
}

absl::Status Browser::Open(const std::string& url) {
  return Call("POST", "/url", {{"url", url}}).status();
}

absl::Status Browser::Back() {
  return Call("POST", "/back", Json::object()).status();
}

absl::StatusOr<Json> Browser::Run(const std::string& script) {
  return Call("POST", "/execute/sync",
              {{"script", script}, {"args", Json::array()}});
}

absl::Status Browser::WaitFor(const std::string& expression) {
  Clock& clock = Clock::Real();
  const absl::Duration end = clock.Monotonic() + kPatience;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(
        const Json holds,
        Run(absl::StrCat("return Boolean(", expression, ")")));
    if (holds == true) return absl::OkStatus();
    if (clock.Monotonic() > end) break;
    WaitUnlessCancelled(clock, kLookInterval, [] { return false; });
  }
  FOLDFARM_ASSIGN_OR_RETURN(const Json text,
                            Run("return document.body.innerText"));
  return absl::DeadlineExceededError(absl::StrCat(
      expression, " did not become true; the page says:\n", JsonText(text, 1)));
}

absl::Status Browser::Click(const std::string& selector) {
  FOLDFARM_ASSIGN_OR_RETURN(const Json element, Call("POST", "/element",
                                                     {{"using", "css selector"},
                                                      {"value", selector}}));
  const std::string id = element.begin().value().get<std::string>();
  return Call("POST", absl::StrCat("/element/", id, "/click"), Json::object())
      .status();
}

absl::Status Browser::Press(const std::vector<std::string>& keys) {
  Json actions = Json::array();
  for (const std::string& key : keys) {
    actions.push_back({{"type", "keyDown"}, {"value", key}});
    actions.push_back({{"type", "keyUp"}, {"value", key}});
  }
  const Json keyboard = {
      {"type", "key"}, {"id", "keyboard"}, {"actions", actions}};
  return Call("POST", "/actions", {{"actions", Json::array({keyboard})}})
      .status();
}

absl::StatusOr<std::vector<std::string>> Browser::ConsoleErrors() {
  FOLDFARM_ASSIGN_OR_RETURN(const Json entries,
                            Call("POST", "/se/log", {{"type", "browser"}}));
  std::vector<std::string> errors;
  for (const Json& entry : entries) {
    if (entry["level"] == "SEVERE" || entry["level"] == "WARNING") {
      errors.push_back(entry["message"]);
    }
  }
  return errors;
}

absl::Status Browser::Screenshot(const std::string& path, bool whole) {
  FOLDFARM_ASSIGN_OR_RETURN(
      const Json shot,
      DevTools("Page.captureScreenshot",
               {{"format", "png"}, {"captureBeyondViewport", whole}}));
  std::string png;
  if (!absl::Base64Unescape(shot["data"].get<std::string>(), &png)) {
    return absl::DataLossError("the screenshot is not base64");
  }
  return WriteFileAtomically(path, png);
}

}  // namespace foldfarm
