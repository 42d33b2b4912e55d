#include "tests/testing/hosts.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "tests/testing/programs.h"

namespace foldfarm {
namespace {

absl::Status Do(absl::string_view command) {
  return OutputOf(absl::StrSplit(command, ' ', absl::SkipEmpty())).status();
}

std::string HostName(int host) { return absl::StrCat("host", host); }
// The switch's end of a host's cable.
std::string Port(int host) { return absl::StrCat("port", host); }

}  // namespace

absl::StatusOr<std::unique_ptr<Hosts>> Hosts::Make(int count) {
  if (geteuid() != 0) {
    return absl::PermissionDeniedError("network namespaces need root");
  }
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    return ErrnoStatus("unshare", "cannot make namespaces");
  }
  // Names of namespaces live in /run/netns, and die with our view of it.
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) {
    return ErrnoStatus("/run", "cannot mount");
  }
  FOLDFARM_RETURN_IF_ERROR(Do("ip link set lo up"));
  FOLDFARM_RETURN_IF_ERROR(Do("ip link add switch type bridge"));
  FOLDFARM_RETURN_IF_ERROR(
      Do(absl::StrCat("ip addr add ", kSwitchAddress, "/24 dev switch")));
  FOLDFARM_RETURN_IF_ERROR(Do("ip link set switch up"));
  for (int host = 1; host <= count; ++host) {
    const std::string name = HostName(host);
    const std::string inside = absl::StrCat("ip -n ", name, " ");
    FOLDFARM_RETURN_IF_ERROR(Do(absl::StrCat("ip netns add ", name)));
    FOLDFARM_RETURN_IF_ERROR(Do(absl::StrCat(
        "ip link add ", Port(host), " type veth peer name eth0 netns ", name)));
    FOLDFARM_RETURN_IF_ERROR(
        Do(absl::StrCat("ip link set ", Port(host), " master switch up")));
    FOLDFARM_RETURN_IF_ERROR(Do(
        absl::StrCat(inside, "addr add 10.77.0.", host + 1, "/24 dev eth0")));
    FOLDFARM_RETURN_IF_ERROR(Do(absl::StrCat(inside, "link set lo up")));
    FOLDFARM_RETURN_IF_ERROR(Do(absl::StrCat(inside, "link set eth0 up")));
  }
  return std::unique_ptr<Hosts>(new Hosts);
}

std::vector<std::string> Hosts::On(int host) const {
  return {"ip", "netns", "exec", HostName(host)};
}

absl::Status Hosts::Cut(int host) {
  return Do(absl::StrCat("ip link set ", Port(host), " down"));
}

absl::Status Hosts::Heal(int host) {
  return Do(absl::StrCat("ip link set ", Port(host), " up"));
}

absl::StatusOr<std::string> Hosts::Disturb(int host, absl::Duration delay,
                                           int loss_percent) {
  const std::string netem =
      absl::StrCat(" root netem delay ", absl::ToInt64Milliseconds(delay),
                   "ms loss ", loss_percent, "%");
  absl::Status status =
      Do(absl::StrCat("tc qdisc add dev ", Port(host), netem));
  if (status.ok()) {
    FOLDFARM_RETURN_IF_ERROR(Do(absl::StrCat("ip netns exec ", HostName(host),
                                             " tc qdisc add dev eth0", netem)));
    return "";
  }
  // Without netem nftables can drop packets at random, but not delay them.
  const std::string rule =
      absl::StrCat("numgen random mod 100 < ", loss_percent, " drop");
  for (absl::string_view hook : {"input", "output", "forward"}) {
    const std::string chain = absl::StrCat("bridge loss", host, " ", hook);
    const absl::Status made =
        OutputOf({"nft",
                  absl::StrCat(
                      "add table bridge loss", host, "; add chain ", chain,
                      " { type filter hook ", hook, " priority 0; }; add rule ",
                      chain, hook == "input" ? " iifname " : " oifname ",
                      Port(host), " ", rule,
                      hook == "forward"
                          ? absl::StrCat("; add rule ", chain, " iifname ",
                                         Port(host), " ", rule)
                          : "")})
            .status();
    if (!made.ok()) {
      return absl::StrCat("no delay, no loss: ", status.message(), "; ",
                          made.message());
    }
  }
  return absl::StrCat("loss by nftables, no delay: ", status.message());
}

absl::Status Hosts::Calm(int host) {
  if (Do(absl::StrCat("tc qdisc del dev ", Port(host), " root")).ok()) {
    return Do(absl::StrCat("ip netns exec ", HostName(host),
                           " tc qdisc del dev eth0 root"));
  }
  OutputOf({"nft", absl::StrCat("delete table bridge loss", host)})
      .status()
      .IgnoreError();
  return absl::OkStatus();
}

}  // namespace foldfarm
