#include "common/sweep/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

// Thrown out of the parser's callbacks, which cannot return; caught in
// ReadYaml.
struct Refusal {
  FilePosition position;
  std::string message;
};

FilePosition PositionOf(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

class TreeBuilder : public YAML::EventHandler {
 public:
  // The document; null when there was none.
  YamlNodePtr root() const { return root_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto node = NewNode(YamlNode::Kind::kNull, mark);
    // The parser's mark is that of what comes next, on another line perhaps.
    if (!stack_.empty() && stack_.back().key != nullptr) {
      node->position = stack_.back().key->position;
    }
    Finish(std::move(node), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    auto node = NewNode(YamlNode::Kind::kScalar, mark);
    node->text = value;
    node->quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    Finish(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw Refusal{PositionOf(mark), "an alias stands inside its own anchor"};
    }
    Place(found->second, PositionOf(mark));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(NewNode(YamlNode::Kind::kSequence, mark), anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string&,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(NewNode(YamlNode::Kind::kMap, mark), anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A sequence or map whose end has not come yet.
  struct Frame {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor;
    YamlNodePtr key;  // Of a map: the key whose value comes next.
  };

  static std::shared_ptr<YamlNode> NewNode(YamlNode::Kind kind,
                                           const YAML::Mark& mark) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->position = PositionOf(mark);
    return node;
  }

  void Open(std::shared_ptr<YamlNode> node, YAML::anchor_t anchor) {
    CheckDepth(1, node->position);
    stack_.push_back({std::move(node), anchor, nullptr});
  }

  void Close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    Finish(std::move(frame.node), frame.anchor);
  }

  void Finish(std::shared_ptr<YamlNode> node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    const FilePosition position = node->position;
    Place(std::move(node), position);
  }

  void CheckDepth(size_t more, FilePosition position) const {
    if (stack_.size() + more <= kMaxYamlDepth) return;
    throw Refusal{position, absl::StrCat("nested deeper than ", kMaxYamlDepth,
                                         " levels")};
  }

  // Puts a complete node where it belongs.
  void Place(YamlNodePtr node, FilePosition position) {
    CheckDepth(node->depth, position);
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    YamlNode& parent = *frame.node;
    parent.nodes += node->nodes;
    parent.depth = std::max(parent.depth, node->depth + 1);
    if (parent.nodes > kMaxYamlNodes) {
      throw Refusal{position, absl::StrCat("more than ", kMaxYamlNodes,
                                           " values, aliases included")};
    }
    if (parent.kind == YamlNode::Kind::kSequence) {
      parent.items.push_back(std::move(node));
    } else if (frame.key == nullptr) {
      if (node->kind != YamlNode::Kind::kScalar) {
        throw Refusal{position,
                      absl::StrCat("expected a key, got ", node->Describe())};
      }
      frame.key = std::move(node);
    } else {
      parent.entries.push_back(
          {frame.key->text, frame.key->position, std::move(node)});
      frame.key = nullptr;
    }
  }

  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, YamlNodePtr> anchors_;
  YamlNodePtr root_;
};

// Where the first byte stands that a text file cannot hold; line 0: nowhere.
FilePosition FindBadByte(absl::string_view text) {
  FilePosition position{1, 1};
  while (!text.empty()) {
    const size_t length = text[0] == '\0' ? 0 : Utf8Length(text);
    if (length == 0) return position;
    if (text[0] == '\n') {
      position = {position.line + 1, 1};
    } else {
      ++position.column;
    }
    text.remove_prefix(length);
  }
  return {};
}

// Where a tab stands among what indents a line, up to `position`; line 0:
// nowhere.
FilePosition FindTab(absl::string_view text, FilePosition position) {
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  const auto index = static_cast<size_t>(position.line - 1);
  if (position.line < 1 || index >= lines.size()) return {};
  const absl::string_view line = lines[index];
  const size_t indent = std::min(line.find_first_not_of("\t -"), line.size());
  const size_t tab = line.substr(0, indent).find('\t');
  if (tab == absl::string_view::npos) return {};
  return {position.line, static_cast<int>(tab) + 1};
}

// What the parser found, where it speaks of its own states, in words that say
// what to do.
std::string Explain(const std::string& message) {
  if (message == YAML::ErrorMsg::MAP_VALUE) {
    return "a \":\" makes a KEY: VALUE where none can be; indent it as its "
           "neighbours, or put a text that has a \": \" into quotes";
  }
  if (message == YAML::ErrorMsg::UNKNOWN_TOKEN) {
    return "no value begins with this character; put it into quotes";
  }
  if (message == YAML::ErrorMsg::END_OF_MAP ||
      message == YAML::ErrorMsg::END_OF_SEQ) {
    return "this line is indented like none of those above; align it with its "
           "neighbours";
  }
  if (message == YAML::ErrorMsg::END_OF_SEQ_FLOW) {
    return "a list that began with [ has no ] yet";
  }
  if (message == YAML::ErrorMsg::END_OF_MAP_FLOW) {
    return "a map that began with { has no } yet";
  }
  return message;
}

}  // namespace

const YamlNode* YamlNode::Find(absl::string_view key) const {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key) return entry.value.get();
  }
  return nullptr;
}

const YamlNode* YamlNode::FindPath(YamlPath path) const {
  const YamlNode* at = this;
  for (const absl::string_view key : path) {
    at = at->Find(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string YamlNode::Describe() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return Quoted(text);
    case Kind::kSequence:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "";
}

absl::StatusOr<YamlNodePtr> ReadYaml(absl::string_view text,
                                     absl::string_view file_name) {
  SweepErrors errors(file_name);
  if (text.size() > kMaxYamlBytes) {
    errors.Add({1, 1},
               absl::StrCat("the file has ", text.size(),
                            " bytes, expected at most ", kMaxYamlBytes));
    return errors.ToStatus();
  }
  if (const FilePosition bad = FindBadByte(text); bad.line != 0) {
    errors.Add(bad, "not a text file: expected UTF-8");
    return errors.ToStatus();
  }
  TreeBuilder builder;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder) || builder.root() == nullptr) {
      errors.Add({1, 1}, "the file is empty");
      return errors.ToStatus();
    }
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      errors.Add(second.root() == nullptr ? FilePosition{1, 1}
                                          : second.root()->position,
                 "a second document begins, expected one a file");
    }
  } catch (const YAML::Exception& error) {
    const FilePosition position = PositionOf(error.mark);
    if (const FilePosition tab = FindTab(text, position); tab.line > 0) {
      errors.Add(tab, "not YAML: a tab indents this line, expected spaces");
    } else {
      errors.Add(position, absl::StrCat("not YAML: ", Explain(error.msg)));
    }
  } catch (const Refusal& refusal) {
    errors.Add(refusal.position, refusal.message);
  }
  if (!errors.empty()) return errors.ToStatus();
  return builder.root();
}

}  // namespace foldfarm
