#include "coordinator/queue/model_key.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

// What is done with checkpoints leaves the result as it is. (How often they are
// written does too, but is part of keys that are stored.)
void ClearKeepCheckpoint(v1::ModelSpec& model) {
  if (model.has_train()) model.mutable_train()->clear_keep_checkpoint();
  for (v1::StageSpec& stage : *model.mutable_stages()) {
    if (stage.has_train()) stage.mutable_train()->clear_keep_checkpoint();
  }
}

constexpr char kTypeUrlPrefix[] = "foldfarm";

google::protobuf::util::TypeResolver& Resolver() {
  static google::protobuf::util::TypeResolver* const resolver =
      google::protobuf::util::NewTypeResolverForDescriptorPool(
          kTypeUrlPrefix, google::protobuf::DescriptorPool::generated_pool());
  return *resolver;
}

// With the entries of maps in order, which plain serialization leaves to
// chance.
std::string Serialize(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> ModelKey(const v1::ModelSpec& model,
                                     const std::vector<std::string>& own,
                                     const std::vector<std::string>& all) {
  v1::ModelSpec copy = model;
  copy.clear_name();
  copy.clear_seed();
  if (copy.init().digest().empty()) {
    copy.clear_init();
  } else {
    copy.mutable_init()->clear_weights();
  }
  ClearKeepCheckpoint(copy);
  copy.clear_labels();
  if (own != all) copy.mutable_labels()->Add(own.begin(), own.end());
  if (copy.arch().has_exec()) {
    // Their names and contents are in `uploaded`.
    copy.mutable_arch()->mutable_exec()->clear_files();
  }
  std::string json;
  const auto status = google::protobuf::util::BinaryToJsonString(
      &Resolver(),
      absl::StrCat(kTypeUrlPrefix, "/", copy.GetDescriptor()->full_name()),
      Serialize(copy), &json);
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", model.name(), ": ", std::string(status.message())));
  }
  return json;
}

}  // namespace foldfarm
