// Pickles with code in them, and pickles that lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/common/weights/weights_file_fixture.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using HostileFileTest = WeightsFileTest;

// --- Pickles with code in them. Nothing is run, by design: there is no code
// that could. Here: each is refused, and says what it would have called.

struct HostileCase {
  const char* name;
  std::string pickle;
  const char* says;
};

std::vector<HostileCase> HostileCases() {
  std::vector<HostileCase> cases;
  cases.push_back({"OsSystem",
                   MadePickle()
                       .Global("os", "system")
                       .Text("touch /tmp/owned")
                       .Raw("\x85R")
                       .Done(),
                   "os.system"});
  cases.push_back({"PosixSystemInsideADict",
                   MadePickle()
                       .Raw("}(")
                       .Text("fc.weight")
                       .Global("posix", "system")
                       .Text("id")
                       .Raw("\x85Ru")
                       .Done(),
                   "posix.system"});
  cases.push_back(
      {"BuiltinsEval",
       MadePickle().Global("builtins", "eval").Text("1").Raw("\x85R").Done(),
       "builtins.eval"});
  cases.push_back({"StackGlobal",
                   MadePickle()
                       .Text("subprocess")
                       .Text("Popen")
                       .Raw("\x93")
                       .Text("id")
                       .Raw("\x85R")
                       .Done(),
                   "subprocess.Popen"});
  cases.push_back({"Inst",
                   MadePickle().Raw("(").Text("id").Raw("ios\nsystem\n").Done(),
                   "os.system"});
  cases.push_back(
      {"Obj",
       MadePickle().Raw("(").Global("os", "system").Text("id").Raw("o").Done(),
       "os.system"});
  cases.push_back(
      {"NewObj",
       MadePickle().Global("webbrowser", "Chrome").Raw(")\x81").Done(),
       "webbrowser.Chrome"});
  cases.push_back({"NewObjEx",
                   MadePickle().Global("torch", "Tensor").Raw(")}\x92").Done(),
                   "0x92"});
  cases.push_back({"Extension", MadePickle().Raw("\x82\x01").Done(), "0x82"});
  cases.push_back(
      {"TextPersistentId", MadePickle().Raw("Px\n").Done(), "0x50"});
  cases.push_back({"OtherFunctionsOfTorch",
                   MadePickle().Global("torch.hub", "load").Raw(")R").Done(),
                   "torch.hub.load"});
  cases.push_back({"NameThatEscapesTheTerminal",
                   MadePickle().Global("\x1b[31mos", "system").Raw(")R").Done(),
                   "\\x1b[31mos.system"});
  cases.push_back({"WholeModelInsteadOfItsStateDict",
                   MadePickle()
                       .Global("torchvision.models.resnet", "ResNet")
                       .Raw(")\x81}b")
                       .Done(),
                   "torchvision.models.resnet.ResNet"});
  cases.push_back(
      {"CallOfACall",
       MadePickle().Global("collections", "OrderedDict").Raw(")R)R").Done(),
       "not named"});
  return cases;
}

class HostilePickleTest : public WeightsFileTest,
                          public ::testing::WithParamInterface<HostileCase> {};

TEST_P(HostilePickleTest, IsRefusedByName) {
  EXPECT_THAT(Refusal(GetParam().pickle), HasSubstr(GetParam().says));
  const auto legacy = OpenBytes(MadeLegacy(GetParam().pickle, {}));
  EXPECT_THAT(std::string(legacy.status().message()),
              HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(All, HostilePickleTest,
                         ::testing::ValuesIn(HostileCases()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST_F(HostileFileTest, RefusalSaysThatNothingWasRunAndWhatToDo) {
  EXPECT_THAT(Refusal(MadePickle().Global("os", "system").Raw(")R").Done()),
              AllOf(HasSubstr("nothing in the file was run"),
                    HasSubstr("model.state_dict()")));
}

// --- Pickles that lie.

std::string OneTensor(const std::vector<int64_t>& shape,
                      const std::vector<int64_t>& strides, int64_t offset = 0,
                      int64_t numel = 12) {
  return MadePickle()
      .Raw("}(")
      .Text("w")
      .Tensor("FloatStorage", "0", numel, offset, shape, strides)
      .Raw("u")
      .Done();
}

TEST_F(HostileFileTest, TensorsOutsideTheirStorageAreRefused) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  for (const std::string& pickle :
       {OneTensor({13}, {1}), OneTensor({12}, {1}, 1), OneTensor({2}, {12}),
        OneTensor({kHuge, kHuge}, {kHuge, 1}), OneTensor({kHuge}, {kHuge}),
        OneTensor({2}, {1}, kHuge), OneTensor({3, 4}, {4})}) {
    EXPECT_THAT(Refusal(pickle), AllOf(HasSubstr("tensor 'w'"),
                                       HasSubstr("its storage of 12 values")));
  }
  // A terabyte out of one value.
  EXPECT_THAT(Refusal(OneTensor({kHuge / 8}, {0})), HasSubstr("more values"));
  EXPECT_THAT(Refusal(OneTensor({-1}, {1})), HasSubstr("from 0 up"));
  EXPECT_THAT(Refusal(OneTensor({1}, {1}, -1)), HasSubstr("from 0 up"));
}

TEST_F(HostileFileTest, StoragesThatAreMissingOrOfAnotherSizeAreRefused) {
  const auto read = [](const auto& file) {
    EXPECT_TRUE(file.ok()) << file.status();
    return std::string((*file)->Read("w").status().message());
  };
  EXPECT_THAT(read(OpenPickle(OneTensor({2}, {1}, 0, 1000))),
              AllOf(HasSubstr("storage '0' has 48 bytes"),
                    HasSubstr("1000 values of F32")));
  EXPECT_THAT(read(OpenZip({{"x/data.pkl", OneTensor({2}, {1})}})),
              HasSubstr("storage '0' is missing"));
}

TEST_F(HostileFileTest, DeepAndCircularPicklesAreRead) {
  // 500,000 tuples, each in the next: nothing here may recurse over them.
  std::string nested = "\x80\x02)";
  nested.append(500'000, '\x85');
  EXPECT_THAT(Refusal(nested + "."), HasSubstr("no state dict"));
  // A dictionary that holds itself, under a name where a state dict may be.
  EXPECT_THAT(
      Refusal(
          MadePickle().Raw("}q\x01(").Text("state_dict").Raw("h\x01u").Done()),
      HasSubstr("no state dict"));
  // A parameter around a parameter around ...
  MadePickle parameters;
  parameters.Raw("}(").Text("w");
  for (int i = 0; i < 100; ++i) {
    parameters.Global("torch._utils", "_rebuild_parameter").Raw("(");
  }
  parameters.Raw("N");
  for (int i = 0; i < 100; ++i) parameters.Raw("\x88NtR");
  EXPECT_THAT(Refusal(parameters.Raw("u").Done()), HasSubstr("tensor 'w'"));
  // More values than any checkpoint has.
  std::string many = "\x80\x02";
  many.append(1'000'002, 'N');
  EXPECT_THAT(Refusal(many + "."), HasSubstr("more than 1000000 values"));
}

TEST_F(HostileFileTest, PicklesOfOtherThingsSayWhatTheyHold) {
  EXPECT_THAT(Refusal(MadePickle().Int(3).Done()),
              HasSubstr("no state dict of tensors, and no dictionary"));
  EXPECT_THAT(
      Refusal(MadePickle().Raw("}(").Text("epoch").Int(3).Raw("u").Done()),
      HasSubstr("only a dictionary with 'epoch'"));
  EXPECT_THAT(Refusal(MadePickle()
                          .Raw("}(")
                          .Text("w")
                          .Tensor("QUInt8Storage", "0", 12, 0, {2}, {1})
                          .Raw("u")
                          .Done()),
              HasSubstr("torch.QUInt8Storage"));
}

}  // namespace
}  // namespace foldfarm
