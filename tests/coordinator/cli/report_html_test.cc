#include "coordinator/cli/report_html.h"

#include "coordinator/cli/number_text.h"
#include "coordinator/cli/report_charts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

TEST(EscapeHtmlTest, TextIsNeverMarkup) {
  EXPECT_EQ(EscapeHtml("<script>alert('x')</script> & \"y\""),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; "
            "&quot;y&quot;");
  EXPECT_EQ(EscapeHtml("50 °C\n\tok"), "50 °C\n\tok");
}

TEST(EscapeHtmlTest, WhatIsNotUtf8BecomesTheReplacementCharacter) {
  // A lone continuation byte, an overlong "/", a surrogate, an end cut off, a
  // bell and a zero.
  EXPECT_EQ(EscapeHtml("a\x80z"), "a\uFFFDz");
  EXPECT_EQ(EscapeHtml("\xC0\xAF"), "\uFFFD\uFFFD");
  EXPECT_EQ(EscapeHtml("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(EscapeHtml("\xE2\x82"), "\uFFFD\uFFFD");
  EXPECT_EQ(EscapeHtml(absl::string_view("\a\0", 2)), "\uFFFD\uFFFD");
  EXPECT_EQ(EscapeHtml("\xF0\x9F\x9A\x80"), "\xF0\x9F\x9A\x80");
}

TEST(HtmlTableTest, HasACaptionAndHeadersWithAScope) {
  HtmlTable table("Scores of <all>", {{"Model"}, {"Log loss", true}});
  table.AddRow({"gru<b>", HtmlCell("0.1", "good")}, "total");
  const std::string html = table.Render();
  EXPECT_THAT(html, HasSubstr("<caption>Scores of &lt;all&gt;</caption>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"col\" class=\"n\">Log loss</th>"));
  EXPECT_THAT(html,
              HasSubstr("<tr class=\"total\"><th scope=\"row\">gru&lt;b&gt;"
                        "</th><td class=\"n good\">0.1</td></tr>"));
}

TEST(AxisTest, TicksAreRoundAndWithinTheAxis) {
  EXPECT_THAT(Axis(0.1, 0.32, 0, 1).Ticks(4),
              ElementsAre(testing::DoubleNear(0.1, 1e-9),
                          testing::DoubleNear(0.2, 1e-9),
                          testing::DoubleNear(0.3, 1e-9)));
  EXPECT_THAT(Axis(0.04, 0.6, 0, 1, true).Ticks(5),
              ElementsAre(testing::DoubleNear(0.05, 1e-9),
                          testing::DoubleNear(0.1, 1e-9),
                          testing::DoubleNear(0.2, 1e-9),
                          testing::DoubleNear(0.5, 1e-9)));
  EXPECT_EQ(TickText(0.1), "0.1");
  EXPECT_EQ(TickText(1120), "1,120");
}

TEST(AxisTest, ValuesOutsideAreDrawnAtTheNearerEnd) {
  const Axis axis(1, 100, 200, 0, true);
  EXPECT_DOUBLE_EQ(axis.At(10), 100);
  EXPECT_DOUBLE_EQ(axis.At(0), 200);
  EXPECT_DOUBLE_EQ(axis.At(1e9), 0);
}

TEST(RangeOfTest, IsWiderThanWhatItHoldsAndIgnoresWhatIsNotFinite) {
  EXPECT_THAT(RangeOf({1, NAN, 3, INFINITY}, 0.5), Pair(0, 4));
  const auto [low, high] = RangeOf({0.25, 0.25}, 0.1);
  EXPECT_LT(low, 0.25);
  EXPECT_GT(high, 0.25);
  EXPECT_THAT(RangeOf({}, 0.1), Pair(0, 1));
}

TEST(ThinTest, PointsBecomeMeansOfStretches) {
  EXPECT_THAT(Thin(std::vector<Point>{{1, 10}, {2, 20}, {3, 30}, {4, 50}}, 2),
              ElementsAre(Pair(1.5, 15), Pair(3.5, 40)));
  EXPECT_THAT(Thin(std::vector<Point>{{1, 10}}, 2), ElementsAre(Pair(1, 10)));
}

TEST(LineChartTest, SaysInWordsWhatItShowsAndTellsSeriesApart) {
  LineChart chart;
  chart.title = "a <b>";
  chart.description = "it falls";
  chart.series.push_back({.name = "one", .points = {{1, 2}, {2, 1}}});
  chart.series.push_back(
      {.name = "two", .points = {{1, 1}, {2, NAN}, {3, 1}}, .look = 1});
  const std::string svg = DrawLineChart(chart);
  EXPECT_THAT(svg,
              AllOf(HasSubstr("role=\"img\"><title>a &lt;b&gt;</title>"),
                    HasSubstr("<desc>it falls</desc>"), HasSubstr("line c0 d0"),
                    HasSubstr("line c1 d1"), Not(HasSubstr("nan"))));
}

TEST(LineChartTest, ExtremeValuesStayWithinTheDrawing) {
  LineChart chart;
  chart.log_y = true;
  chart.y_range = {0.1, 1};
  chart.series.push_back(
      {.points = {{1, 0}, {2, INFINITY}, {3, -5}, {4, 1e300}}});
  EXPECT_THAT(DrawLineChart(chart),
              AllOf(Not(HasSubstr("inf")), Not(HasSubstr("nan"))));
  EXPECT_THAT(DrawLineChart({}), HasSubstr("<svg"));
}

TEST(HeatMapTest, EveryCellSaysItsValueWhenPointedAt) {
  HeatMap map;
  map.rows = {"x<y", "b"};
  map.columns = {"c"};
  map.values = {0.5, NAN};
  map.words = {"x<y and c: 0.5000", ""};
  map.marks = {"0.5", ""};
  const std::string svg = DrawHeatMap(map);
  EXPECT_THAT(svg, HasSubstr("<title>x&lt;y and c: 0.5000</title>"));
  EXPECT_THAT(svg, HasSubstr("class=\"empty\""));
}

TEST(ReliabilityTest, EmptyBinsAreNotDrawn) {
  const std::string svg =
      DrawReliability(Calibrate({0, 1, 1}, {0.05, 0.95, 0.97}), "t", "d");
  size_t dots = 0;
  for (size_t at = svg.find("<circle"); at != svg.npos;
       at = svg.find("<circle", at + 1)) {
    ++dots;
  }
  EXPECT_EQ(dots, 2u);
}

}  // namespace
}  // namespace foldfarm
