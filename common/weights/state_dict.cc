#include "common/weights/state_dict.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile_header.h"

namespace foldfarm {
namespace {

using Kind = PickleNode::Kind;

constexpr size_t kMaxDimensions = 16;
// Parameters wrap tensors, and types wrap parameters.
constexpr int kMaxNesting = 4;

constexpr absl::string_view kRebuildTensor[] = {
    "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"};
// Their first argument is the tensor.
constexpr absl::string_view kRebuildParameter[] = {
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.nn.parameter.Parameter", "torch.autograd.variable.Variable"};
// (function, class, its arguments, attributes).
constexpr absl::string_view kRebuildFromType[] = {
    "torch._tensor._rebuild_from_type_v2"};
// Named, and of no consequence.
constexpr absl::string_view kHarmless[] = {"collections.OrderedDict",
                                           "torch.Size",
                                           "torch.Tensor",
                                           "torch.device",
                                           "torch.float32",
                                           "torch.float16",
                                           "torch.bfloat16",
                                           "torch.float64",
                                           "argparse.Namespace"};

constexpr struct {
  absl::string_view name;
  DType dtype;
} kStorages[] = {
    {"FloatStorage", DType::kF32},     {"HalfStorage", DType::kF16},
    {"BFloat16Storage", DType::kBF16}, {"DoubleStorage", DType::kF64},
    {"LongStorage", DType::kI64},      {"IntStorage", DType::kI32},
    {"ShortStorage", DType::kI16},     {"CharStorage", DType::kI8},
    {"ByteStorage", DType::kU8},       {"BoolStorage", DType::kBool},
};

// Where people keep a state dict among other things, best first.
constexpr absl::string_view kWrappers[] = {
    "state_dict", "model",          "model_state_dict", "net",
    "network",    "state_dict_ema", "model_ema",        "weights"};

template <size_t kSize>
bool Contains(const absl::string_view (&list)[kSize], absl::string_view text) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

std::optional<DType> DTypeOfStorage(absl::string_view global) {
  if (!absl::ConsumePrefix(&global, "torch.cuda.") &&
      !absl::ConsumePrefix(&global, "torch.")) {
    return std::nullopt;
  }
  for (const auto& row : kStorages) {
    if (row.name == global) return row.dtype;
  }
  return std::nullopt;
}

class Reader {
 public:
  Reader(const PickleTree& tree, const std::string& name)
      : tree_(tree), name_(name) {}

  absl::StatusOr<std::map<std::string, StoredTensor>> Read() const {
    FOLDFARM_ASSIGN_OR_RETURN(const PickleNode* dict, FindStateDict());
    std::map<std::string, StoredTensor> result;
    for (const auto& [key, value] : Items(*dict)) {
      if (!IsTensor(*value)) continue;
      absl::StatusOr<StoredTensor> tensor = ReadTensor(*value, 0);
      if (!tensor.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat(name_, ": tensor ", QuoteName(key), ": ",
                         tensor.status().message()));
      }
      result[key] = *std::move(tensor);
    }
    return result;
  }

 private:
  using ItemList = std::vector<std::pair<std::string, const PickleNode*>>;

  const PickleNode& At(uint32_t place) const { return tree_.at(place); }
  const PickleNode& Child(const PickleNode& node, size_t i) const {
    return At(node.children[i]);
  }
  bool IsCallOf(const PickleNode& node, absl::string_view global) const {
    return node.kind == Kind::kCall && Child(node, 0).text == global;
  }
  bool IsTensor(const PickleNode& node) const {
    if (node.kind != Kind::kCall) return false;
    const std::string& global = Child(node, 0).text;
    return Contains(kRebuildTensor, global) ||
           Contains(kRebuildParameter, global) ||
           Contains(kRebuildFromType, global);
  }

  // Items of a dictionary under text keys; none for anything else.
  ItemList Items(const PickleNode& node) const {
    ItemList items;
    const auto add = [&](uint32_t key, uint32_t value) {
      if (At(key).kind == Kind::kText) {
        items.emplace_back(At(key).text, &At(value));
      }
    };
    size_t begin = 0;
    if (IsCallOf(node, "collections.OrderedDict")) {
      // Python 2 hands the items over as the one argument.
      const PickleNode& arguments = Child(node, 1);
      if (arguments.children.size() == 1) {
        for (const uint32_t place : Child(arguments, 0).children) {
          const PickleNode& pair = At(place);
          const bool is_pair =
              pair.kind == Kind::kList || pair.kind == Kind::kTuple;
          if (is_pair && pair.children.size() == 2) {
            add(pair.children[0], pair.children[1]);
          }
        }
      }
      begin = 2;
    } else if (node.kind != Kind::kDict) {
      return items;
    }
    for (size_t i = begin; i + 1 < node.children.size(); i += 2) {
      add(node.children[i], node.children[i + 1]);
    }
    return items;
  }
  bool HasTensors(const PickleNode& node) const {
    const ItemList items = Items(node);
    return std::any_of(items.begin(), items.end(), [&](const auto& item) {
      return IsTensor(*item.second);
    });
  }

  absl::StatusOr<const PickleNode*> FindStateDict() const {
    const PickleNode& root = At(tree_.root);
    if (HasTensors(root)) return &root;
    const ItemList items = Items(root);
    for (const absl::string_view wrapper : kWrappers) {
      for (const auto& [key, value] : items) {
        if (key == wrapper && HasTensors(*value)) return value;
      }
    }
    std::vector<std::string> keys;
    for (const auto& item : items) {
      if (keys.size() < 8) keys.push_back(QuoteName(item.first));
    }
    return absl::InvalidArgumentError(absl::StrCat(
        name_, ": holds no state dict of tensors, ",
        keys.empty() ? "and no dictionary"
                     : absl::StrCat("only a dictionary with ",
                                    absl::StrJoin(keys, ", ")),
        "; expected one, or one under \"state_dict\" or \"model\""));
  }

  absl::StatusOr<StoredTensor> ReadTensor(const PickleNode& call,
                                          int depth) const {
    if (depth > kMaxNesting || !IsTensor(call)) {
      return absl::InvalidArgumentError("is not made as tensors are");
    }
    const std::string& global = Child(call, 0).text;
    const PickleNode& arguments = Child(call, 1);
    if (Contains(kRebuildTensor, global)) return ReadView(arguments);
    if (Contains(kRebuildParameter, global)) {
      if (arguments.children.empty()) {
        return absl::InvalidArgumentError("a parameter without a tensor");
      }
      return ReadTensor(Child(arguments, 0), depth + 1);
    }
    if (arguments.children.size() < 3 ||
        !Contains(kRebuildTensor, Child(arguments, 0).text)) {
      return absl::InvalidArgumentError("is of an unknown kind");
    }
    return ReadView(Child(arguments, 2));
  }

  // (storage, offset, shape, strides, ...)
  absl::StatusOr<StoredTensor> ReadView(const PickleNode& arguments) const {
    if (arguments.kind != Kind::kTuple || arguments.children.size() < 4) {
      return absl::InvalidArgumentError("is not made as tensors are");
    }
    StoredTensor tensor;
    FOLDFARM_RETURN_IF_ERROR(ReadStorage(Child(arguments, 0), tensor));
    FOLDFARM_ASSIGN_OR_RETURN(tensor.offset, ReadSize(Child(arguments, 1)));
    FOLDFARM_ASSIGN_OR_RETURN(tensor.shape, ReadSizes(Child(arguments, 2)));
    FOLDFARM_ASSIGN_OR_RETURN(tensor.strides, ReadSizes(Child(arguments, 3)));
    FOLDFARM_RETURN_IF_ERROR(CheckInside(tensor));
    return tensor;
  }

  // ("storage", class, name, device, number of values[, view])
  absl::Status ReadStorage(const PickleNode& node, StoredTensor& tensor) const {
    if (node.kind != Kind::kPersistent || Child(node, 0).kind != Kind::kTuple ||
        Child(node, 0).children.size() < 5) {
      return absl::InvalidArgumentError("has no storage");
    }
    const PickleNode& id = Child(node, 0);
    const PickleNode& type = Child(id, 1);
    const PickleNode& key = Child(id, 2);
    const std::optional<DType> dtype = DTypeOfStorage(type.text);
    if (Child(id, 0).text != "storage" || type.kind != Kind::kGlobal ||
        key.kind != Kind::kText || !dtype.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "has a storage of an unknown kind, ", QuoteName(type.text)));
    }
    if (id.children.size() > 5 && Child(id, 5).kind != Kind::kNone) {
      return absl::InvalidArgumentError(
          "its storage is a view of another, as PyTorch wrote before 0.4");
    }
    tensor.dtype = *dtype;
    tensor.storage = key.text;
    FOLDFARM_ASSIGN_OR_RETURN(tensor.storage_numel, ReadSize(Child(id, 4)));
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> ReadSize(const PickleNode& node) const {
    if (node.kind != Kind::kInteger || node.integer < 0) {
      return absl::InvalidArgumentError(
          "a size, stride or offset is no number from 0 up");
    }
    return node.integer;
  }
  absl::StatusOr<std::vector<int64_t>> ReadSizes(const PickleNode& node) const {
    const PickleNode* list = &node;
    if (IsCallOf(node, "torch.Size") && !Child(node, 1).children.empty()) {
      list = &Child(Child(node, 1), 0);
    }
    if ((list->kind != Kind::kTuple && list->kind != Kind::kList) ||
        list->children.size() > kMaxDimensions) {
      return absl::InvalidArgumentError(absl::StrCat(
          "its shape is no list of up to ", kMaxDimensions, " numbers"));
    }
    std::vector<int64_t> sizes;
    for (const uint32_t place : list->children) {
      FOLDFARM_ASSIGN_OR_RETURN(const int64_t size, ReadSize(At(place)));
      sizes.push_back(size);
    }
    return sizes;
  }

  static absl::Status CheckInside(const StoredTensor& tensor) {
    const auto error = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(
          "shape [", absl::StrJoin(tensor.shape, ", "), "], strides [",
          absl::StrJoin(tensor.strides, ", "), "], offset ", tensor.offset,
          ": ", what, " its storage of ", tensor.storage_numel, " values"));
    };
    if (tensor.strides.size() != tensor.shape.size()) {
      return error("not one stride an axis over");
    }
    if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) !=
        tensor.shape.end()) {
      return absl::OkStatus();
    }
    int64_t numel = 1;
    int64_t last = tensor.offset;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      int64_t reach = 0;
      if (__builtin_mul_overflow(numel, tensor.shape[i], &numel) ||
          __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i],
                                 &reach) ||
          __builtin_add_overflow(last, reach, &last)) {
        return error("reaches beyond");
      }
    }
    if (last >= tensor.storage_numel) return error("reaches beyond");
    if (numel > tensor.storage_numel) return error("has more values than");
    return absl::OkStatus();
  }

  const PickleTree& tree_;
  const std::string& name_;
};

}  // namespace

bool IsStateDictGlobal(absl::string_view global) {
  return Contains(kRebuildTensor, global) ||
         Contains(kRebuildParameter, global) ||
         Contains(kRebuildFromType, global) || Contains(kHarmless, global) ||
         DTypeOfStorage(global).has_value();
}

absl::StatusOr<std::map<std::string, StoredTensor>> ParseStateDict(
    const PickleTree& tree, const std::string& name) {
  return Reader(tree, name).Read();
}

std::map<std::string, DType> StoragesOf(const PickleTree& tree) {
  std::map<std::string, DType> storages;
  for (const PickleNode& node : tree.nodes) {
    if (node.kind != Kind::kPersistent) continue;
    const std::vector<uint32_t>& id = tree.at(node.children[0]).children;
    if (id.size() < 3) continue;
    const std::optional<DType> dtype = DTypeOfStorage(tree.at(id[1]).text);
    if (dtype.has_value()) storages[tree.at(id[2]).text] = *dtype;
  }
  return storages;
}

}  // namespace foldfarm
