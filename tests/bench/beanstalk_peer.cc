#include "tests/bench/beanstalk_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "tests/bench/queue_farm.h"

namespace foldfarm {
namespace {

// Of a job and of a result: as much as a line of our sweep and a name, a digest
// and a score.
const std::string& Body() {
  static const std::string* const body = new std::string(120, 'x');
  return *body;
}

std::string Put() {
  return absl::StrCat("put 0 0 600 ", Body().size(), "\r\n", Body(), "\r\n");
}

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (bind(fd, any, size) != 0 || getsockname(fd, any, &size) != 0) {
    DieUnlessOk(ErrnoStatus("a socket", "cannot bind"));
  }
  close(fd);
  return ntohs(address.sin_port);
}

}  // namespace

struct BeanstalkPeer::Line {
  explicit Line(int fd) : fd(fd) {}
  ~Line() { close(fd); }

  void Send(const std::string& text) const {
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t n =
          send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) DieUnlessOk(ErrnoStatus("beanstalkd", "cannot write to"));
      sent += static_cast<size_t>(n);
    }
  }

  // The next answer if it is whole: its first line.
  std::optional<std::string> Take() {
    const size_t end = got.find("\r\n");
    if (end == std::string::npos) return std::nullopt;
    size_t whole = end + 2;
    const std::string answer = got.substr(0, end);
    // RESERVED ID BYTES, then the job.
    if (absl::StartsWith(answer, "RESERVED ")) {
      whole += Body().size() + 2;
      if (got.size() < whole) return std::nullopt;
    }
    got.erase(0, whole);
    return answer;
  }

  void Read() {
    char bytes[4096];
    const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n < 0) DieUnlessOk(ErrnoStatus("beanstalkd", "cannot read from"));
    if (n == 0) DieUnlessOk(absl::UnavailableError("beanstalkd hung up"));
    got.append(bytes, static_cast<size_t>(n));
  }

  // Waits for an answer, which must begin with `expected`.
  std::string Expect(absl::string_view expected) {
    std::optional<std::string> answer;
    while (!(answer = Take()).has_value()) Read();
    Check(*answer, expected);
    return *answer;
  }

  static void Check(const std::string& answer, absl::string_view expected) {
    if (absl::StartsWith(answer, expected)) return;
    DieUnlessOk(absl::InternalError(
        absl::StrCat("beanstalkd said \"", answer, "\", expected ", expected)));
  }

  const int fd;
  std::string got;
  std::string job;
};

bool BeanstalkPeer::Available(const std::string& program) {
  return access(program.c_str(), X_OK) == 0;
}

BeanstalkPeer::BeanstalkPeer(const std::string& program,
                             const std::string& parent)
    : directory_(JoinPath(parent, NewRandomId())), port_(FreePort()) {
  DieUnlessOk(MakeDirectories(directory_));
  SubprocessOptions command;
  command.argv = {program, "-l",       "127.0.0.1", "-p", absl::StrCat(port_),
                  "-b",    directory_, "-f",        "0"};
  server_ = OrDie(Subprocess::Spawn(command));
}

BeanstalkPeer::~BeanstalkPeer() {
  server_.reset();
  RemoveRecursively(directory_).IgnoreError();
}

std::unique_ptr<BeanstalkPeer::Line> BeanstalkPeer::Connect() const {
  const sockaddr_in address = Loopback(port_);
  for (int tries = 0; tries < 500; ++tries) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) == 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return std::make_unique<Line>(fd);
    }
    close(fd);
    absl::SleepFor(absl::Milliseconds(10));  // It is starting.
  }
  DieUnlessOk(absl::UnavailableError("beanstalkd does not listen"));
  return nullptr;
}

double BeanstalkPeer::JobsPerSecond(int workers, int jobs) {
  {
    const std::unique_ptr<Line> producer = Connect();
    for (int i = 0; i < jobs; ++i) {
      producer->Send(Put());
      producer->Expect("INSERTED");
    }
  }
  std::vector<std::unique_ptr<Line>> lines;
  std::vector<pollfd> polled;
  for (int i = 0; i < workers; ++i) {
    lines.push_back(Connect());
    lines.back()->Send("use results\r\n");
    lines.back()->Expect("USING");
    polled.push_back({lines.back()->fd, POLLIN, 0});
  }
  const double begin = Now();
  for (const auto& line : lines) line->Send("reserve\r\n");
  int done = 0;
  while (done < jobs) {
    poll(polled.data(), polled.size(), -1);
    for (size_t i = 0; i < lines.size(); ++i) {
      if (polled[i].revents == 0) continue;
      Line& line = *lines[i];
      line.Read();
      while (const std::optional<std::string> answer = line.Take()) {
        if (absl::StartsWith(*answer, "RESERVED ")) {
          line.job = std::vector<std::string>(absl::StrSplit(*answer, ' '))[1];
          line.Send(Put());
        } else if (absl::StartsWith(*answer, "INSERTED")) {
          line.Send(absl::StrCat("delete ", line.job, "\r\nreserve\r\n"));
        } else {
          Line::Check(*answer, "DELETED");
          ++done;
        }
      }
    }
  }
  return jobs / (Now() - begin);
}

std::vector<double> BeanstalkPeer::StartSeconds(int workers, int rounds) {
  const std::unique_ptr<Line> producer = Connect();
  std::vector<std::unique_ptr<Line>> lines;
  std::vector<pollfd> polled;
  for (int i = 0; i < workers; ++i) {
    lines.push_back(Connect());
    lines.back()->Send("reserve\r\n");
    polled.push_back({lines.back()->fd, POLLIN, 0});
  }
  std::vector<double> seconds;
  for (int round = 0; round < rounds; ++round) {
    absl::SleepFor(absl::Milliseconds(5));  // Idle, as the farm is.
    const double begin = Now();
    producer->Send(Put());
    poll(polled.data(), polled.size(), -1);
    for (size_t i = 0; i < lines.size(); ++i) {
      if (polled[i].revents == 0) continue;
      Line& line = *lines[i];
      const std::string answer = line.Expect("RESERVED ");
      seconds.push_back(Now() - begin);
      line.job = std::vector<std::string>(absl::StrSplit(answer, ' '))[1];
      line.Send(absl::StrCat("delete ", line.job, "\r\nreserve\r\n"));
      line.Expect("DELETED");
    }
    producer->Expect("INSERTED");
  }
  return seconds;
}

}  // namespace foldfarm
