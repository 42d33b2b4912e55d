#include "common/sweep/option_comments.h"

#include <google/protobuf/descriptor.pb.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace foldfarm {
namespace {

using google::protobuf::FileDescriptorProto;

// " Seed of the\n sweep.\n" -> "Seed of the sweep."
std::string OneLine(absl::string_view comment) {
  std::vector<std::string> words =
      absl::StrSplit(comment, absl::ByAnyChar(" \n"), absl::SkipWhitespace());
  return absl::StrJoin(words, " ");
}

// The name of what stands at `path` (descriptor.proto, SourceCodeInfo), or "".
std::string NameAt(const FileDescriptorProto& file,
                   const google::protobuf::RepeatedField<int>& path) {
  // Both fields of an enum and of a message that list its parts are number 2.
  constexpr int kParts = 2;
  const bool is_part = path.size() == 4 && path[2] == kParts;
  if (path.size() != 2 && !is_part) return "";
  if (path[0] == FileDescriptorProto::kMessageTypeFieldNumber) {
    const auto& message = file.message_type(path[1]);
    return is_part ? absl::StrCat(message.name(), ".",
                                  message.field(path[3]).name())
                   : message.name();
  }
  if (path[0] == FileDescriptorProto::kEnumTypeFieldNumber) {
    const auto& type = file.enum_type(path[1]);
    return is_part ? absl::StrCat(type.name(), ".", type.value(path[3]).name())
                   : type.name();
  }
  return "";
}

}  // namespace

const OptionComments& OptionComments::Get() {
  static const OptionComments& comments = *new OptionComments();
  return comments;
}

OptionComments::OptionComments() {
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromArray(kSweepDescriptors, kSweepDescriptorsSize) ||
      set.file().empty()) {
    return;
  }
  const FileDescriptorProto& file = set.file(0);
  for (const auto& location : file.source_code_info().location()) {
    const std::string name = NameAt(file, location.path());
    if (name.empty() || location.leading_comments().empty()) continue;
    comments_[name] = OneLine(location.leading_comments());
  }
}

std::string OptionComments::Of(const std::string& name) const {
  const auto comment = comments_.find(name);
  return comment == comments_.end() ? "" : comment->second;
}

}  // namespace foldfarm
