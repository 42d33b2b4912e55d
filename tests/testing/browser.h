// A headless Chromium that a test drives, by the WebDriver protocol over plain
// HTTP (https://www.w3.org/TR/webdriver2/) with Debian's chromium-driver.
//
// Used by one thread. The browser dies with this object.
#ifndef FOLDFARM_TESTS_TESTING_BROWSER_H_
#define FOLDFARM_TESTS_TESTING_BROWSER_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/subprocess.h"

namespace foldfarm {

class Browser {
 public:
  // Errors: NOT_FOUND when chromedriver is not installed.
  static absl::StatusOr<std::unique_ptr<Browser>> Start();
  ~Browser();
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  // The size of the page, in CSS pixels, and whether it is to be dark.
  absl::Status Show(int width, int height, bool dark = false);
  absl::Status Open(const std::string& url);
  absl::Status Back();

  // The value of a script's `return`.
  absl::StatusOr<nlohmann::json> Run(const std::string& script);
  // Waits until the expression is truthy; DEADLINE_EXCEEDED after 30 s, with
  // the page's text.
  absl::Status WaitFor(const std::string& expression);
  // Clicks, as a mouse does, the element of a CSS selector.
  absl::Status Click(const std::string& selector);
  // Presses keys one after another where the focus is: "a" or a code point of
  // WebDriver (kTab...).
  absl::Status Press(const std::vector<std::string>& keys);

  // Errors of the console so far; empties it.
  absl::StatusOr<std::vector<std::string>> ConsoleErrors();
  // Writes the page as a PNG; `whole`: also what is below the window.
  absl::Status Screenshot(const std::string& path, bool whole);

  static constexpr char kTab[] = "\xEE\x80\x84";
  static constexpr char kEnter[] = "\xEE\x80\x87";
  static constexpr char kEnd[] = "\xEE\x80\x90";
  static constexpr char kHome[] = "\xEE\x80\x91";
  static constexpr char kLeft[] = "\xEE\x80\x92";
  static constexpr char kUp[] = "\xEE\x80\x93";
  static constexpr char kRight[] = "\xEE\x80\x94";
  static constexpr char kDown[] = "\xEE\x80\x95";

 private:
  Browser() = default;
  // Calls the driver; the answer's "value".
  absl::StatusOr<nlohmann::json> Call(const std::string& method,
                                      const std::string& path,
                                      const nlohmann::json& body);
  absl::StatusOr<nlohmann::json> DevTools(const std::string& command,
                                          const nlohmann::json& parameters);

  std::string folder_;
  std::unique_ptr<Subprocess> driver_;
  std::string endpoint_;
  std::string session_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_BROWSER_H_
