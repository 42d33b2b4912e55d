#include "common/weights/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/weights/pickle_opcodes.h"

namespace foldfarm {
namespace {

using enum PickleOpcode;
using Kind = PickleNode::Kind;

// A large network's checkpoint has some 30,000.
constexpr size_t kMaxValues = 1'000'000;

class Parser {
 public:
  Parser(absl::string_view bytes,
         absl::FunctionRef<bool(absl::string_view)> allowed,
         const std::string& name)
      : bytes_(bytes), allowed_(allowed), name_(name) {}

  absl::StatusOr<PickleTree> Parse() {
    for (;;) {
      start_ = at_;
      FOLDFARM_ASSIGN_OR_RETURN(const uint64_t byte, Number(1));
      const auto opcode = static_cast<PickleOpcode>(byte);
      if (opcode == kStop) break;
      FOLDFARM_RETURN_IF_ERROR(Execute(opcode));
      if (std::max({tree_.nodes.size(), stack_.size(), memo_.size()}) >
          kMaxValues) {
        return Error(absl::StrCat("more than ", kMaxValues, " values"));
      }
    }
    FOLDFARM_ASSIGN_OR_RETURN(tree_.root, Pop());
    tree_.size_bytes = at_;
    return std::move(tree_);
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": pickle, byte ", start_, ": ", what));
  }

  // --- The bytes.

  absl::StatusOr<absl::string_view> Bytes(uint64_t count) {
    if (count > bytes_.size() - at_) {
      return Error(absl::StrCat("cut short: ", count, " bytes expected, ",
                                bytes_.size() - at_, " left"));
    }
    const absl::string_view bytes = bytes_.substr(at_, count);
    at_ += count;
    return bytes;
  }
  // Little-endian and unsigned.
  absl::StatusOr<uint64_t> Number(size_t size) {
    FOLDFARM_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(size));
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    return value;
  }
  absl::StatusOr<absl::string_view> Line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == absl::string_view::npos) return Error("cut short in a name");
    const absl::string_view line = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }

  // --- The stack. Values under the last mark are out of reach.

  size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }
  void Push(PickleNode node) {
    stack_.push_back(static_cast<uint32_t>(tree_.nodes.size()));
    tree_.nodes.push_back(std::move(node));
  }
  absl::StatusOr<uint32_t> Pop() {
    if (stack_.size() <= Floor()) return Error("nothing on the stack");
    const uint32_t place = stack_.back();
    stack_.pop_back();
    return place;
  }
  absl::StatusOr<PickleNode*> Top() {
    if (stack_.size() <= Floor()) return Error("nothing on the stack");
    return &tree_.nodes[stack_.back()];
  }
  absl::StatusOr<std::vector<uint32_t>> PopToMark() {
    if (marks_.empty()) return Error("no mark on the stack");
    std::vector<uint32_t> items(
        stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  absl::StatusOr<std::vector<uint32_t>> PopSome(size_t count) {
    if (stack_.size() < Floor() + count) return Error("nothing on the stack");
    std::vector<uint32_t> items(stack_.end() - static_cast<ptrdiff_t>(count),
                                stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  // --- Values.

  void PushInteger(Kind kind, int64_t value) {
    Push({.kind = kind, .integer = value});
  }
  absl::Status PushText(size_t length_size) {
    FOLDFARM_ASSIGN_OR_RETURN(const uint64_t length, Number(length_size));
    FOLDFARM_ASSIGN_OR_RETURN(const absl::string_view text, Bytes(length));
    Push({.kind = Kind::kText, .text = std::string(text)});
    return absl::OkStatus();
  }
  absl::Status PushTuple(absl::StatusOr<std::vector<uint32_t>> items,
                         Kind kind = Kind::kTuple) {
    FOLDFARM_RETURN_IF_ERROR(items.status());
    Push({.kind = kind, .children = *std::move(items)});
    return absl::OkStatus();
  }
  absl::Status PushLong() {
    FOLDFARM_ASSIGN_OR_RETURN(const uint64_t size, Number(1));
    FOLDFARM_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(size));
    if (size > 8) {
      Push({.kind = Kind::kLong, .text = std::string(bytes)});
      return absl::OkStatus();
    }
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    }
    if (size > 0 && size < 8 && (bytes[size - 1] & 0x80) != 0) {
      value |= ~uint64_t{0} << (8 * size);
    }
    PushInteger(Kind::kInteger, static_cast<int64_t>(value));
    return absl::OkStatus();
  }
  absl::Status PushReal() {
    FOLDFARM_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(8));
    uint64_t bits = 0;  // Big-endian, alone in the format.
    for (const char c : bytes) bits = bits << 8 | static_cast<uint8_t>(c);
    Push({.kind = Kind::kReal, .real = std::bit_cast<double>(bits)});
    return absl::OkStatus();
  }
  absl::Status PushGlobal(absl::string_view module, absl::string_view name) {
    std::string global = absl::StrCat(module, ".", name);
    if (!allowed_(global)) {
      constexpr size_t kShown = 100;
      return Error(absl::StrCat(
          "it names ", absl::CHexEscape(global.substr(0, kShown)),
          ", which no state dict of tensors needs; refused, and nothing in the "
          "file was run. Save model.state_dict() alone, or as safetensors"));
    }
    Push({.kind = Kind::kGlobal, .text = std::move(global)});
    return absl::OkStatus();
  }
  absl::Status PushCall() {
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<uint32_t> both, PopSome(2));
    if (tree_.at(both[0]).kind != Kind::kGlobal ||
        tree_.at(both[1]).kind != Kind::kTuple) {
      return Error("a call of something that is not named; refused");
    }
    Push({.kind = Kind::kCall, .children = both});
    return absl::OkStatus();
  }
  absl::Status SetItems(const std::vector<uint32_t>& items) {
    FOLDFARM_ASSIGN_OR_RETURN(PickleNode * target, Top());
    if (target->kind != Kind::kDict && target->kind != Kind::kCall) {
      return Error("items set on something that is no dictionary");
    }
    if (items.size() % 2 != 0) return Error("a key without a value");
    target->children.insert(target->children.end(), items.begin(), items.end());
    return absl::OkStatus();
  }
  absl::Status Append(const std::vector<uint32_t>& items) {
    FOLDFARM_ASSIGN_OR_RETURN(PickleNode * target, Top());
    if (target->kind != Kind::kList) {
      return Error("values appended to something that is no list");
    }
    target->children.insert(target->children.end(), items.begin(), items.end());
    return absl::OkStatus();
  }

  absl::Status Put(absl::StatusOr<uint64_t> key) {
    FOLDFARM_RETURN_IF_ERROR(key.status());
    FOLDFARM_RETURN_IF_ERROR(Top().status());
    memo_[*key] = stack_.back();
    return absl::OkStatus();
  }
  absl::Status Get(absl::StatusOr<uint64_t> key) {
    FOLDFARM_RETURN_IF_ERROR(key.status());
    const auto it = memo_.find(*key);
    if (it == memo_.end()) {
      return Error(absl::StrCat("memo ", *key, " was never set"));
    }
    stack_.push_back(it->second);
    return absl::OkStatus();
  }

  absl::Status Execute(PickleOpcode opcode);

  const absl::string_view bytes_;
  const absl::FunctionRef<bool(absl::string_view)> allowed_;
  const std::string& name_;
  size_t at_ = 0;
  size_t start_ = 0;  // Of the current opcode.
  PickleTree tree_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // Sizes of the stack when they were set.
  std::unordered_map<uint64_t, uint32_t> memo_;
};

absl::Status Parser::Execute(PickleOpcode opcode) {
  switch (opcode) {
    case kProto: {
      FOLDFARM_ASSIGN_OR_RETURN(const uint64_t version, Number(1));
      if (version < 2 || version > 5) {
        return Error(absl::StrCat("protocol ", version, ", expected 2 to 5"));
      }
      return absl::OkStatus();
    }
    case kFrame:
      return Number(8).status();
    case kMark:
      // A mark takes no value: bound them all the same.
      if (marks_.size() >= kMaxValues) return Error("too many marks");
      marks_.push_back(stack_.size());
      return absl::OkStatus();
    case kPop:
      if (!marks_.empty() && stack_.size() == marks_.back()) {
        marks_.pop_back();
        return absl::OkStatus();
      }
      return Pop().status();
    case kPopMark:
      return PopToMark().status();

    case kNone:
      Push({});
      return absl::OkStatus();
    case kNewTrue:
    case kNewFalse:
      PushInteger(Kind::kBool, opcode == kNewTrue ? 1 : 0);
      return absl::OkStatus();
    case kBinInt: {
      FOLDFARM_ASSIGN_OR_RETURN(const uint64_t value, Number(4));
      PushInteger(Kind::kInteger, static_cast<int32_t>(value));
      return absl::OkStatus();
    }
    case kBinInt1:
    case kBinInt2: {
      FOLDFARM_ASSIGN_OR_RETURN(const uint64_t value,
                                Number(opcode == kBinInt1 ? 1 : 2));
      PushInteger(Kind::kInteger, static_cast<int64_t>(value));
      return absl::OkStatus();
    }
    case kLong1:
      return PushLong();
    case kBinFloat:
      return PushReal();
    case kShortBinString:
    case kShortBinBytes:
    case kShortBinUnicode:
      return PushText(1);
    case kBinString:
    case kBinBytes:
    case kBinUnicode:
      return PushText(4);
    case kBinUnicode8:
    case kBinBytes8:
      return PushText(8);

    case kEmptyTuple:
      return PushTuple(std::vector<uint32_t>());
    case kTuple1:
    case kTuple2:
    case kTuple3:
      return PushTuple(PopSome(static_cast<size_t>(opcode) -
                               static_cast<size_t>(kTuple1) + 1));
    case kTuple:
      return PushTuple(PopToMark());
    case kEmptyList:
      return PushTuple(std::vector<uint32_t>(), Kind::kList);
    case kList:
      return PushTuple(PopToMark(), Kind::kList);
    case kEmptyDict:
      return PushTuple(std::vector<uint32_t>(), Kind::kDict);
    case kDict: {
      FOLDFARM_ASSIGN_OR_RETURN(const auto items, PopToMark());
      Push({.kind = Kind::kDict});
      return SetItems(items);
    }
    case kAppend: {
      FOLDFARM_ASSIGN_OR_RETURN(const auto items, PopSome(1));
      return Append(items);
    }
    case kAppends: {
      FOLDFARM_ASSIGN_OR_RETURN(const auto items, PopToMark());
      return Append(items);
    }
    case kSetItem: {
      FOLDFARM_ASSIGN_OR_RETURN(const auto items, PopSome(2));
      return SetItems(items);
    }
    case kSetItems: {
      FOLDFARM_ASSIGN_OR_RETURN(const auto items, PopToMark());
      return SetItems(items);
    }

    case kBinPut:
      return Put(Number(1));
    case kLongBinPut:
      return Put(Number(4));
    case kMemoize:
      return Put(uint64_t{memo_.size()});
    case kBinGet:
      return Get(Number(1));
    case kLongBinGet:
      return Get(Number(4));

    case kGlobal:
    case kInst: {
      FOLDFARM_ASSIGN_OR_RETURN(const absl::string_view module, Line());
      FOLDFARM_ASSIGN_OR_RETURN(const absl::string_view name, Line());
      FOLDFARM_RETURN_IF_ERROR(PushGlobal(module, name));
      if (opcode == kInst) return Error("opcode INST is refused");
      return absl::OkStatus();
    }
    case kStackGlobal: {
      FOLDFARM_ASSIGN_OR_RETURN(const auto both, PopSome(2));
      const PickleNode& module = tree_.at(both[0]);
      const PickleNode& name = tree_.at(both[1]);
      if (module.kind != Kind::kText || name.kind != Kind::kText) {
        return Error("a global whose name is no text");
      }
      return PushGlobal(module.text, name.text);
    }
    case kReduce:
    case kNewObj:
      return PushCall();
    case kBuild: {
      // Attributes of an object, as a state dict's "_metadata": not needed.
      FOLDFARM_RETURN_IF_ERROR(Pop().status());
      FOLDFARM_ASSIGN_OR_RETURN(const PickleNode* target, Top());
      if (target->kind != Kind::kCall) {
        return Error("attributes set on something that is no object");
      }
      return absl::OkStatus();
    }
    case kBinPersId: {
      FOLDFARM_ASSIGN_OR_RETURN(const auto id, PopSome(1));
      Push({.kind = Kind::kPersistent, .children = id});
      return absl::OkStatus();
    }
    default:
      return Error(absl::StrFormat(
          "opcode 0x%02x is refused: no state dict of tensors needs it",
          static_cast<uint8_t>(opcode)));
  }
}

}  // namespace

absl::StatusOr<PickleTree> ParsePickle(
    absl::string_view bytes,
    absl::FunctionRef<bool(absl::string_view global)> allowed,
    const std::string& name) {
  return Parser(bytes, allowed, name).Parse();
}

}  // namespace foldfarm
