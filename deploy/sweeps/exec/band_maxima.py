"""Features of a sample: the highest abundance of each m/z in each band of
temperatures, as a logarithm."""

import warnings

import numpy as np


def band_maxima(dataset, samples, band_celsius, floor=1e-4, low=0, high=1100):
    """[samples, 100 m/z * bands] of log10; `floor` where there is nothing."""
    edges = np.arange(low, high + band_celsius, band_celsius)
    features = np.full((len(samples), len(edges) - 1, 100), floor)
    for row, sample in enumerate(samples):
        temperature, abundance = dataset.scans(sample)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # All NaN.
            # What is always there is the instrument's, not the sample's.
            background = np.nanquantile(abundance, 0.1, axis=0)
            signal = abundance - background
            band = np.digitize(temperature, edges) - 1
            for b in np.unique(band[(band >= 0) & (band < len(edges) - 1)]):
                features[row, b] = np.nanmax(signal[band == b], axis=0)
    features = np.where(np.isfinite(features), features, floor)
    return np.log10(np.maximum(features, floor)).reshape(len(samples), -1)
