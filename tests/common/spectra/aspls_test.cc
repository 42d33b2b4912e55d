// asPLS against baselines computed by pybaselines.
#include "common/spectra/aspls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/base/json_text.h"
#include "tests/common/spectra/test_files.h"

namespace foldfarm {
namespace {

using Curve = std::vector<double>;

struct Case {
  std::string name;
  double lambda;
  Curve y;
  std::map<int, Curve> after;
  Curve converged;
  int converged_solves;
  double range() const {
    const auto [low, high] = std::minmax_element(y.begin(), y.end());
    return *high - *low;
  }
};

std::vector<Case> ReadCases(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text.ok()) return {};
  std::vector<Case> cases;
  const nlohmann::json document = ParseJson(*text);
  for (const auto& json : document["cases"]) {
    Case c{json["name"], json["lambda"],    json["y"],
           {},           json["converged"], json["converged_iterations"]};
    for (const auto& [solves, z] : json["after"].items()) {
      c.after[std::stoi(solves)] = z.get<Curve>();
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

double LargestDifference(const Curve& a, const Curve& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double d = std::fabs(a[i] - b[i]);
    if (!(d <= largest)) largest = d;
  }
  return largest;
}

Baseline One(const Curve& y, const AsplsOptions& options) {
  const absl::Span<const double> curve = y;
  return AsplsBaselines({&curve, 1}, options)[0];
}

void CompareWithReference(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    for (const auto& [solves, expected] : c.after) {
      AsplsOptions options{c.lambda, /*tolerance=*/0, solves};
      const Baseline got = One(c.y, options);
      EXPECT_EQ(got.solves, solves);
      EXPECT_LE(LargestDifference(got.values, expected), 1e-6 * c.range())
          << "after " << solves << " solves";
    }
    const Baseline got = One(c.y, {c.lambda});
    EXPECT_TRUE(got.finite);
    // The others are chaotic: a change in the last place of y moves them.
    const bool stable = c.name == "short, 24 points" ||
                        c.name == "constant plus one spike" ||
                        c.name == "tiny scale 1e-9";
    EXPECT_LE(LargestDifference(got.values, c.converged),
              (stable ? 1e-4 : 1e-2) * c.range());
    if (stable) {
      EXPECT_NEAR(got.solves, c.converged_solves, 3);
    }
  }
}

TEST(AsplsTest, EqualsPybaselinesOnMadeCurves) {
  const auto cases = ReadCases(GoldenFile("aspls.json"));
  ASSERT_EQ(cases.size(), 4u);
  CompareWithReference(cases);
}

TEST(AsplsTest, EqualsPybaselinesOnAllReferenceCurves) {
  const std::string path = SharedFile("golden/aspls.json");
  const auto cases = ReadCases(path);
  if (cases.empty()) GTEST_SKIP() << path << " is absent";
  CompareWithReference(cases);
}

TEST(AsplsTest, ABaselineDoesNotDependOnTheCurvesBesideIt) {
  // More curves than lanes, of many lengths, so that lanes are refilled and
  // blocks closed; one breaks down half-way.
  std::vector<Curve> curves;
  for (int c = 0; c < 75; ++c) {
    Curve y(static_cast<size_t>(4 + (c * 37) % 240));
    for (size_t i = 0; i < y.size(); ++i) {
      const double x = static_cast<double>(i) / 20.0 - c % 7;
      y[i] = std::exp(-x * x) +
             0.01 * std::sin(0.7 * static_cast<double>(i * (c + 1)));
    }
    if (c == 40) std::fill(y.begin(), y.end(), 0.0);
    curves.push_back(y);
  }
  std::vector<absl::Span<const double>> spans(curves.begin(), curves.end());
  const std::vector<Baseline> together = AsplsBaselines(spans);
  ASSERT_EQ(together.size(), curves.size());
  for (size_t c = 0; c < curves.size(); ++c) {
    const Baseline alone = One(curves[c], {});
    EXPECT_EQ(alone.solves, together[c].solves) << c;
    EXPECT_EQ(alone.finite, together[c].finite) << c;
    if (alone.finite) {
      EXPECT_EQ(alone.values, together[c].values) << c;
    }
  }
  EXPECT_FALSE(together[40].finite);
}

TEST(AsplsTest, ACurveOfZerosIsReportedAsBrokenDown) {
  EXPECT_FALSE(One(Curve(50, 0.0), {}).finite);
}

TEST(AsplsTest, NotANumberIsReportedAsBrokenDown) {
  Curve y(50, 1.0);
  y[7] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(One(y, {}).finite);
}

TEST(AsplsTest, NoCurvesGiveNoBaselines) {
  EXPECT_TRUE(AsplsBaselines({}).empty());
}

TEST(ModPolyTest, ALineStaysWhereItIs) {
  Curve y(30);
  for (size_t i = 0; i < y.size(); ++i) y[i] = 3 - 0.5 * static_cast<double>(i);
  EXPECT_LT(LargestDifference(ModPolyLine(y), y), 1e-12);
}

TEST(ModPolyTest, ALineUnderAPeakIgnoresThePeak) {
  Curve y(100, 1.0);
  y[50] = 1000;
  const Curve line = ModPolyLine(y);
  EXPECT_NEAR(line[0], 1.0, 0.05);
  EXPECT_NEAR(line[99], 1.0, 0.05);
}

}  // namespace
}  // namespace foldfarm
