"""Hermes' own words, in its own order (``hermes/serializers.py``): tables of a message, and what fields with a choice take."""

__all__ = [
    "ANGLES",
    "BRIGHTNESSES",
    "DISTANCES",
    "FLUXES",
    "FLUX_TYPES",
    "PERIODS",
    "ROWS",
    "SPECTRUM_TYPES",
    "TABLES",
    "TRANSIENT_TYPES",
    "WAVELENGTHS",
]

ROWS = ("photometry", "spectroscopy", "astrometry")
"""Keys of ``data`` that hold rows about targets."""
TABLES = ("targets", *ROWS)
"""Keys of ``data`` that hold rows."""

FLUXES = ("mJy", "erg / s / cm² / Å")
BRIGHTNESSES = ("AB mag", "Vega mag", *FLUXES)
WAVELENGTHS = ("Å", "nm", "µm", "Hz", "GHz", "THz")
ANGLES = ("degrees", "mas", "arcsec", "arcmin")
DISTANCES = ("cm", "m", "km", "pc", "kpc", "Mpc", "Gpc", "ly", "au")
PERIODS = ("Days", "Months", "Years")

FLUX_TYPES = ("Fλ", "Flambda", "F\N{GREEK SMALL LETTER NU}", "Fnu")
SPECTRUM_TYPES = ("Object", "Other", "Host", "Synthetic", "Sky", "Arcs")
TRANSIENT_TYPES = (
    "PSN - Possible SN",
    "NUC - Possibly nuclear",
    "PNV - Possible Nova",
    "AGN - Known AGN",
    "FRB - Fast Radio Burst event",
    "Other - Undefined",
)
