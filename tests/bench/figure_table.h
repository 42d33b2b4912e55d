// What a benchmark prints at its end: its figures beside those of others.
#ifndef FOLDFARM_TESTS_BENCH_FIGURE_TABLE_H_
#define FOLDFARM_TESTS_BENCH_FIGURE_TABLE_H_

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace foldfarm {

class FigureTable {
 public:
  void Add(const std::string& what, const std::string& ours,
           const std::string& others) {
    rows_.push_back({what, ours, others});
  }

  void Print() const {
    size_t what = 0, ours = 0;
    for (const Row& row : rows_) {
      what = std::max(what, row.what.size());
      ours = std::max(ours, row.ours.size());
    }
    const auto print = [&](const Row& row) {
      std::printf("%-*s  %-*s  %s\n", static_cast<int>(what), row.what.c_str(),
                  static_cast<int>(ours), row.ours.c_str(), row.others.c_str());
    };
    std::printf("\n");
    print({"MEASURED", "FOLDFARM", "TARGET; OTHERS"});
    for (const Row& row : rows_) print(row);
  }

 private:
  struct Row {
    std::string what;
    std::string ours;
    std::string others;
  };
  std::vector<Row> rows_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_FIGURE_TABLE_H_
