#include "common/spectra/minerals.h"

namespace foldfarm {
namespace {

// 17O, 18O, 13C, 34S and 37Cl give the weak lines above the parent's.
constexpr MassLine kH2O[] = {
    {18, 1}, {17, .21}, {16, .02}, {19, .004}, {20, .003}};
constexpr MassLine kCO2[] = {{44, 1},   {28, .11},  {16, .09}, {12, .09},
                             {22, .02}, {45, .012}, {46, .004}};
constexpr MassLine kCO[] = {
    {28, 1}, {12, .05}, {16, .02}, {29, .012}, {14, .01}};
constexpr MassLine kSO2[] = {{64, 1},   {48, .5},   {32, .11}, {16, .06},
                             {66, .05}, {50, .024}, {65, .009}};
constexpr MassLine kH2S[] = {
    {34, 1}, {33, .42}, {32, .44}, {36, .042}, {35, .03}};
constexpr MassLine kO2[] = {{32, 1}, {16, .15}, {34, .004}};
constexpr MassLine kHCl[] = {{36, 1}, {38, .32}, {35, .17}, {37, .055}};
constexpr MassLine kNO[] = {{30, 1}, {14, .08}, {15, .024}, {31, .004}};
constexpr MassLine kH2[] = {{2, 1}, {1, .03}};
constexpr MassLine kOrganic[] = {{43, 1},   {29, .8}, {41, .7}, {27, .6},
                                 {15, .5},  {55, .4}, {57, .4}, {39, .3},
                                 {78, .15}, {91, .1}};

constexpr Release kBasalt[] = {{Gas::kSO2, 880, 50, 80, .10},
                               {Gas::kCO2, 640, 60, 90, .12},
                               {Gas::kH2O, 300, 60, 120, .15}};
constexpr Release kCarbonate[] = {{Gas::kCO2, 690, 60, 45, .9}};
constexpr Release kChloride[] = {{Gas::kHCl, 740, 60, 70, .10},
                                 {Gas::kH2O, 180, 30, 40, .25}};
constexpr Release kIronOxide[] = {{Gas::kH2O, 300, 25, 28, .5},
                                  {Gas::kO2, 700, 60, 60, .03}};
constexpr Release kOxalate[] = {{Gas::kCO, 430, 30, 25, .7},
                                {Gas::kCO2, 440, 30, 28, .6},
                                {Gas::kH2O, 190, 20, 25, .4}};
constexpr Release kOxychlorine[] = {{Gas::kO2, 400, 80, 30, .7},
                                    {Gas::kHCl, 470, 80, 50, .12}};
constexpr Release kPhyllosilicate[] = {{Gas::kH2O, 560, 80, 60, .5},
                                       {Gas::kH2O, 130, 25, 45, .5}};
constexpr Release kSilicate[] = {{Gas::kH2O, 450, 80, 150, .10},
                                 {Gas::kCO2, 520, 80, 150, .06}};
constexpr Release kSulfate[] = {{Gas::kSO2, 830, 70, 55, .5},
                                {Gas::kO2, 840, 70, 55, .15},
                                {Gas::kH2O, 160, 30, 35, .35}};
constexpr Release kSulfide[] = {{Gas::kSO2, 460, 50, 45, .45},
                                {Gas::kH2S, 430, 50, 45, .2}};
constexpr Release kCommon[] = {{Gas::kH2O, 110, 25, 50, .5},
                               {Gas::kCO2, 330, 80, 120, .06},
                               {Gas::kOrganic, 400, 80, 100, .01},
                               {Gas::kNO, 550, 120, 80, .008},
                               {Gas::kH2, 650, 120, 120, .02}};

constexpr Mineral kMinerals[] = {
    {"basalt", .12, kBasalt},
    {"carbonate", .13, kCarbonate},
    {"chloride", .12, kChloride},
    {"iron_oxide", .22, kIronOxide},
    {"oxalate", .06, kOxalate},
    {"oxychlorine", .23, kOxychlorine},
    {"phyllosilicate", .32, kPhyllosilicate},
    {"silicate", .14, kSilicate},
    {"sulfate", .19, kSulfate},
    {"sulfide", .06, kSulfide},
};

}  // namespace

absl::Span<const MassLine> MassSpectrum(Gas gas) {
  switch (gas) {
    case Gas::kH2O:
      return kH2O;
    case Gas::kCO2:
      return kCO2;
    case Gas::kCO:
      return kCO;
    case Gas::kSO2:
      return kSO2;
    case Gas::kH2S:
      return kH2S;
    case Gas::kO2:
      return kO2;
    case Gas::kHCl:
      return kHCl;
    case Gas::kNO:
      return kNO;
    case Gas::kH2:
      return kH2;
    case Gas::kOrganic:
      return kOrganic;
  }
  return {};
}

absl::Span<const Mineral> Minerals() { return kMinerals; }
absl::Span<const Release> CommonReleases() { return kCommon; }

}  // namespace foldfarm
