#include "common/spectra/ions.h"

#include <algorithm>
#include <iterator>

namespace foldfarm {
namespace {

// Electron ionization at 70 eV; parents, fragments and isotopes.
constexpr Ion kIons[] = {
    {1, "H", "fragment of H2 and water"},
    {2, "H2", "hydrogen: reduced phases, organic matter"},
    {3, "HD", "isotope of hydrogen"},
    {4, "He", "carrier gas"},
    {12, "C", "fragment of CO2, CO and organic matter"},
    {13, "CH, 13C", "fragment of organic matter; isotope of C"},
    {14, "N", "fragment of N2; CH2 of organic matter; CO2 twice ionized"},
    {15, "CH3", "fragment of methane and other organic matter"},
    {16, "O, CH4", "fragment of O2, CO2, water; methane"},
    {17, "OH", "fragment of water; NH3"},
    {18, "H2O", "water: adsorbed, interlayer, hydrates, hydroxyl of clays"},
    {19, "H3O, F", "protonated water; HF"},
    {20, "Ar++, H2(18)O, HF", "argon twice ionized; isotope of water; HF"},
    {22, "CO2++", "CO2 twice ionized"},
    {24, "C2", "fragment of organic matter"},
    {25, "C2H", "fragment of organic matter"},
    {26, "C2H2, CN", "fragment of organic matter"},
    {27, "C2H3, HCN", "organic matter"},
    {28, "CO, N2", "carbon monoxide, fragment of CO2; nitrogen, air"},
    {29, "13CO, CHO, C2H5", "isotope of CO; organic matter"},
    {30, "NO", "nitrates and other nitrogen; ethane; C18O"},
    {31, "CH3O", "methanol and other organic matter"},
    {32, "O2, S", "oxygen: perchlorates, chlorates, nitrates; S of SO2, H2S"},
    {33, "HS", "fragment of H2S"},
    {34, "H2S, 34S", "hydrogen sulfide; isotope of sulfur and oxygen"},
    {35, "Cl", "fragment of HCl"},
    {36, "HCl", "chlorides and oxychlorines with water"},
    {37, "37Cl", "isotope of Cl, fragment of HCl"},
    {38, "H(37)Cl", "isotope of HCl"},
    {39, "C3H3", "organic matter"},
    {40, "Ar", "argon, air"},
    {41, "C3H5", "organic matter"},
    {42, "C3H6", "organic matter; ketene"},
    {43, "C3H7, C2H3O", "organic matter"},
    {44, "CO2", "carbonates, oxalates and other organic matter"},
    {45, "13CO2, CHO2", "isotope of CO2; organic acids"},
    {46, "NO2, CO(18)O", "nitrates; isotope of CO2"},
    {47, "CCl", "chlorinated organic matter"},
    {48, "SO", "fragment of SO2: sulfates, sulfides"},
    {49, "33SO", "isotope of SO"},
    {50, "34SO, CH3Cl", "isotope of SO; chloromethane"},
    {52, "CH3(37)Cl", "isotope of chloromethane"},
    {55, "C4H7", "organic matter"},
    {57, "C4H9", "organic matter"},
    {58, "C3H6O", "acetone"},
    {60, "OCS", "carbonyl sulfide; acetic acid"},
    {64, "SO2", "sulfates, sulfides; S2"},
    {65, "33SO2", "isotope of SO2"},
    {66, "34SO2", "isotope of SO2"},
    {70, "Cl2", "chlorine: oxychlorines"},
    {76, "CS2", "carbon disulfide"},
    {77, "C6H5", "aromatic organic matter"},
    {78, "C6H6", "benzene"},
    {80, "SO3", "sulfates"},
    {85, "SiF3", "silicon fluoride"},
    {91, "C7H7", "toluene and other aromatic organic matter"},
    {92, "C7H8", "toluene"},
    {94, "CH3SSCH3", "dimethyl disulfide; phenol"},
    {96, "S3", "sulfur"},
};

}  // namespace

absl::Span<const Ion> Ions() { return kIons; }

const Ion* FindIon(int mz) {
  const auto* ion =
      std::lower_bound(std::begin(kIons), std::end(kIons), mz,
                       [](const Ion& a, int b) { return a.mz < b; });
  return ion != std::end(kIons) && ion->mz == mz ? ion : nullptr;
}

absl::string_view IonName(int mz) {
  const Ion* ion = FindIon(mz);
  return ion == nullptr ? "" : ion->name;
}

}  // namespace foldfarm
