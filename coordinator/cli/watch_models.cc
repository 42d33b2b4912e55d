#include "coordinator/cli/watch_models.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/watch_line.h"

namespace foldfarm {
namespace {

constexpr size_t kScore = 6;  // "0.1234".
// More folds than this are counted instead of marked.
constexpr size_t kMostMarks = 12;
constexpr size_t kMostName = 28;
// "5m 08s    fold 12 again in 59s: " stands before a reason.
constexpr size_t kMostBefore = 32;
constexpr size_t kMostReason = 64;

// Running, in trouble, pending, done.
int Rank(const ModelSummary& model) {
  if (model.running > 0) return 0;
  if (model.trouble != nullptr) return 1;
  return model.done() ? 3 : 2;
}

std::string Marks(const ModelSummary& model, bool marks, bool colour) {
  if (!marks) {
    return absl::StrCat(model.succeeded + model.failed + model.cancelled, "/",
                        model.jobs.size());
  }
  std::string text;
  for (const v1::Job* job : model.jobs) {
    const Cell mark = JobMark(*job);
    absl::StrAppend(&text, Paint(mark.text, mark.style, colour));
  }
  return text;
}

// What there is to say of a model at the end of its line.
std::pair<std::string, Style> Remark(const ModelSummary& model, absl::Time now,
                                     const Estimate& estimate, size_t room) {
  const v1::Job* trouble = model.trouble;
  std::string left;
  const auto it = estimate.models.find(model.model);
  if (it != estimate.models.end()) left = ShortLeftText(it->second);
  std::string about;
  Style style = Style::kDim;
  if (trouble != nullptr && trouble->state() == v1::Job::FAILED) {
    about = absl::StrCat("fold ", trouble->fold(), ": ",
                         FirstLine(trouble->error()));
    style = Style::kBad;
  } else if (trouble != nullptr) {
    const absl::Time again = ToTime(trouble->not_before_time());
    about = absl::StrCat(
        "fold ", trouble->fold(), " again",
        again > now ? absl::StrCat(" ", FormatRelative(again, now)) : "", ": ",
        FirstLine(trouble->error()));
    style = Style::kWarning;
  } else if (model.running > 0) {
    std::vector<std::string> workers;
    for (const v1::Job* job : model.jobs) {
      if (job->state() != v1::Job::RUNNING) continue;
      if (std::find(workers.begin(), workers.end(), job->worker()) ==
          workers.end()) {
        workers.push_back(job->worker());
      }
    }
    if (left.empty()) left = "starts";
    about = absl::StrCat("on ", absl::StrJoin(workers, ", "));
    style = Style::kPlain;
  } else if (model.done() && !model.jobs.front()->reused_from().empty()) {
    about = "reused";
  }
  if (left.empty()) return {about, style};
  if (about.empty()) return {left, style};
  const size_t pad = 8 - std::min<size_t>(8, DisplayWidth(left));
  if (8 + kWatchGap + 8 > room) {
    // A failure is worth more than a time.
    return style == Style::kPlain ? std::pair(left, style)
                                  : std::pair(about, style);
  }
  return {absl::StrCat(left, std::string(pad + kWatchGap, ' '), about), style};
}

std::string ModelLine(const ModelSummary& model, absl::Time now,
                      const Estimate& estimate, const WatchLayout& layout,
                      bool colour) {
  WatchLine line;
  line.Add(layout.name, model.model,
           Rank(model) == 0 ? Style::kHeader : Style::kPlain, colour);
  line.AddPainted(layout.folds, Marks(model, layout.marks, colour));
  line.Add(layout.curve, Sparkline(model.curve, layout.curve), Style::kActive,
           colour);
  line.Add(layout.last, FormatScore(model.last), Style::kPlain, colour, true);
  line.Add(layout.best, FormatScore(model.best), Style::kPlain, colour, true);
  line.Add(layout.score, FormatScore(model.score), Style::kGood, colour, true);
  line.AddPainted(layout.bar, ProgressBar(model.share, layout.bar, colour));
  line.Add(layout.share,
           absl::StrFormat("%.0f %%", std::floor(model.share * 100)),
           Style::kPlain, colour, true);
  if (layout.left > 0) {
    const auto [text, style] = Remark(model, now, estimate, layout.left);
    line.Add(layout.left, text, style, colour);
  }
  return line.text();
}

// A model in few columns: name, marks, score.
struct Chips {
  size_t name = 0;
  size_t folds = 0;
  bool marks = true;
  size_t width() const { return name + 1 + folds + 1 + kScore; }
  size_t per_line(size_t columns) const {
    return std::max<size_t>(1, (columns + kWatchGap) / (width() + kWatchGap));
  }
};

std::vector<std::string> ChipLines(
    const std::vector<const ModelSummary*>& models, const Chips& chips,
    size_t columns, bool colour) {
  std::vector<std::string> lines;
  const size_t per_line = chips.per_line(columns);
  for (size_t begin = 0; begin < models.size(); begin += per_line) {
    WatchLine line;
    for (size_t i = begin; i < std::min(models.size(), begin + per_line); ++i) {
      const ModelSummary& model = *models[i];
      const bool scored = !std::isnan(model.score);
      const std::string score = FormatScore(scored ? model.score : model.last);
      const std::string marks = Marks(model, chips.marks, colour);
      line.AddPainted(
          chips.width(),
          absl::StrCat(Pad(model.model, chips.name), " ", marks,
                       std::string(chips.folds - std::min(chips.folds,
                                                          DisplayWidth(marks)),
                                   ' '),
                       " ",
                       Paint(Pad(score, kScore, true),
                             scored ? Style::kGood : Style::kDim, colour)));
    }
    lines.push_back(line.text());
  }
  return lines;
}

// "and 12 more models: 8 done, 4 pending".
std::string MoreText(const std::vector<const ModelSummary*>& left_out) {
  static constexpr const char* kNames[] = {"running", "with failures",
                                           "pending", "done"};
  int counts[4] = {};
  for (const ModelSummary* model : left_out) ++counts[Rank(*model)];
  std::vector<std::string> parts;
  for (int rank = 0; rank < 4; ++rank) {
    if (counts[rank] > 0) {
      parts.push_back(absl::StrCat(counts[rank], " ", kNames[rank]));
    }
  }
  return absl::StrCat(
      "and ", FormatPlural(static_cast<int64_t>(left_out.size()), "more model"),
      ": ", absl::StrJoin(parts, ", "));
}

}  // namespace

WatchLayout MakeWatchLayout(const std::vector<ModelSummary>& models,
                            size_t columns) {
  WatchLayout layout;
  layout.columns = columns;
  size_t natural = 5, folds = 0;
  for (const ModelSummary& model : models) {
    natural = std::max(natural, DisplayWidth(model.model));
    folds = std::max(folds, model.jobs.size());
  }
  // What went wrong is worth more than further columns.
  size_t reason = 0;
  for (const ModelSummary& model : models) {
    if (model.trouble == nullptr) continue;
    reason = std::max(
        reason, kMostBefore + DisplayWidth(FirstLine(model.trouble->error())));
  }
  reason = std::min(reason, kMostReason);
  natural = std::min(natural, kMostName);
  layout.marks = folds <= kMostMarks;
  layout.folds = std::max<size_t>(
      5, layout.marks ? folds : absl::StrCat(folds).size() * 2 + 1);
  layout.name = std::min<size_t>(natural, 10);
  size_t used = layout.name + kWatchGap + layout.folds;
  const auto add = [&](size_t& column, size_t width) {
    if (used + kWatchGap + width > columns) return;
    column = width;
    used += kWatchGap + width;
  };
  const auto widen = [&](size_t& column, size_t width) {
    if (column == 0 || width <= column) return;
    const size_t more =
        std::min(width - column, columns - std::min(columns, used));
    column += more;
    used += more;
  };
  add(layout.last, kScore);
  add(layout.left, 8);
  add(layout.curve, 8);
  add(layout.score, kScore);
  add(layout.bar, 8);
  widen(layout.name, std::min<size_t>(natural, 20));
  widen(layout.left, reason);
  add(layout.best, kScore);
  add(layout.share, 5);
  widen(layout.name, natural);
  widen(layout.curve, 16);
  widen(layout.left, 20);
  widen(layout.curve, 24);
  widen(layout.bar, 16);
  layout.left += layout.left > 0 ? columns - std::min(columns, used) : 0;
  return layout;
}

std::string ModelHeader(const WatchLayout& layout, bool colour) {
  WatchLine line;
  const auto add = [&](size_t width, const char* title, bool right = false) {
    line.Add(width, title, Style::kHeader, colour, right);
  };
  add(layout.name, "MODEL");
  add(layout.folds, "FOLDS");
  add(layout.curve, "LOG LOSS");
  add(layout.last, "LAST", true);
  add(layout.best, "BEST", true);
  add(layout.score, "SCORE", true);
  add(layout.bar, "EPOCHS");
  add(layout.share, "", true);
  add(layout.left, "LEFT");
  return line.text();
}

std::vector<std::string> ModelLines(const std::vector<ModelSummary>& models,
                                    absl::Time now, const Estimate& estimate,
                                    const WatchLayout& layout, size_t room,
                                    bool colour) {
  std::vector<std::string> lines;
  const auto full = [&](const ModelSummary& model) {
    lines.push_back(ModelLine(model, now, estimate, layout, colour));
  };
  if (models.size() <= room) {
    for (const ModelSummary& model : models) full(model);
    return lines;
  }
  if (room == 0) return lines;
  std::vector<const ModelSummary*> order;
  for (const ModelSummary& model : models) order.push_back(&model);
  std::stable_sort(order.begin(), order.end(),
                   [](const ModelSummary* a, const ModelSummary* b) {
                     return Rank(*a) < Rank(*b);
                   });
  Chips chips;
  chips.marks = layout.marks;
  chips.folds = layout.folds;
  for (const ModelSummary& model : models) {
    chips.name = std::max(chips.name, DisplayWidth(model.model));
  }
  const size_t beside = 1 + chips.folds + 1 + kScore;
  chips.name = std::min({chips.name, size_t{20},
                         layout.columns - std::min(layout.columns, beside)});
  const size_t per_line = chips.per_line(layout.columns);
  const size_t active = static_cast<size_t>(std::count_if(
      order.begin(), order.end(),
      [](const ModelSummary* model) { return Rank(*model) < 2; }));
  // As many whole lines as leave room for the others side by side; where even
  // that is too much, all that run, and the last line counts what is left out.
  size_t whole = order.size() + 1;
  while (whole > 0) {
    --whole;
    const size_t rest = (order.size() - whole + per_line - 1) / per_line;
    if (whole + rest <= room) break;
  }
  const size_t rest = (order.size() - whole + per_line - 1) / per_line;
  const bool all_fit = whole + rest <= room;
  if (!all_fit || whole < active) whole = std::min(active, room - 1);
  for (size_t i = 0; i < whole; ++i) full(*order[i]);
  std::vector<const ModelSummary*> others(order.begin() + whole, order.end());
  const size_t places = (room - whole) * per_line;
  if (others.size() > places) {
    const size_t shown = (room - whole - 1) * per_line;
    const std::vector<const ModelSummary*> left_out(others.begin() + shown,
                                                    others.end());
    others.resize(shown);
    for (std::string& line : ChipLines(others, chips, layout.columns, colour)) {
      lines.push_back(std::move(line));
    }
    lines.push_back(Paint(Truncate(MoreText(left_out), layout.columns),
                          Style::kDim, colour));
    return lines;
  }
  for (std::string& line : ChipLines(others, chips, layout.columns, colour)) {
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace foldfarm
