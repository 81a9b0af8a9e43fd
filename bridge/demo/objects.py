"""The real objects that the demo shares: as payloads for ``scripts/seed_tom.py``.

Photometry and spectrum of SN 2013dx are published; the files in ``data/`` name their papers. Eros' orbital elements are
osculating, rounded to the digits given.
"""

import base64
import csv
from importlib.resources import files
from typing import Any

__all__ = ["KNOWN_BEFORE", "LIST_NAME", "SHARED", "SPECTRUM_TIME", "objects_at_destination", "objects_at_source"]

LIST_NAME = "Supernovae of gamma-ray bursts"
"""Target list that is shared."""
KNOWN_BEFORE = "GRB 171010A"
"""What the destination calls the target that the source calls SN 2017htp."""
SHARED = ("SN 2013dx", "SN 2017htp", "(433) Eros")
"""Names of the shared targets, at the source."""
SPECTRUM_TIME = "2013-07-13T00:00:00+00:00"
"""MJD 56486.0."""


def objects_at_source(owner: str, group: str) -> dict[str, Any]:
    """Return what the source TOM ingests, for one of its users and a group that may see it."""
    supernova = {
        "fields": {
            "name": "SN 2013dx",
            "type": "SIDEREAL",
            "ra": 217.311583,
            "dec": 15.774,
            "epoch": 2000.0,
        },
        "aliases": ["GRB 130702A", "iPTF13bxl"],
        "extras": {"redshift": "0.145", "classification": "SN Ic-BL"},
        "lists": [LIST_NAME],
        "owners": [owner],
        "datums": [*_light_curve(), _spectrum()],
        "products": [
            {
                "data_product_type": "photometry",
                "filename": "sn2013dx_volnova2017.csv",
                "content_base64": base64.b64encode(_data("sn2013dx_volnova2017.csv")).decode(),
                "product_id": None,
                "extra_data": "Volnova et al. 2017, MNRAS 467, 3500, table 1",
            }
        ],
    }
    other = {
        "fields": {"name": "SN 2017htp", "type": "SIDEREAL", "ra": 66.5811, "dec": -10.4628, "epoch": 2000.0},
        "aliases": [KNOWN_BEFORE],
        "extras": {"redshift": "0.33"},
        "lists": [LIST_NAME],
        "owners": [owner],
    }
    asteroid = {
        "fields": {
            "name": "(433) Eros",
            "type": "NON_SIDEREAL",
            "scheme": "MPC_MINOR_PLANET",
            "epoch_of_elements": 59600.0,
            "mean_anomaly": 271.0717,
            "arg_of_perihelion": 178.8823,
            "eccentricity": 0.22295,
            "lng_asc_node": 304.2993,
            "inclination": 10.8305,
            "semimajor_axis": 1.458046,
            "abs_mag": 10.38,
            "slope": 0.46,
        },
        "aliases": ["1898 DQ"],
        "extras": {"spectral_type": "S"},
        "owners": [owner],
    }
    return {"targets": [{**target, "groups": [group]} for target in (supernova, other, asteroid)]}


def objects_at_destination(owner: str, group: str) -> dict[str, Any]:
    """Return what the destination TOM has beforehand: one of the targets, under what is an alias at the source."""
    fields = {"name": KNOWN_BEFORE, "type": "SIDEREAL", "ra": 66.5813, "dec": -10.463}
    return {"targets": [{"fields": fields, "owners": [owner], "groups": [group]}]}


def _light_curve() -> list[dict[str, Any]]:
    datums = []
    for row in _rows("sn2013dx_photometry.csv"):
        numbers = {key: float(row[key]) for key in ("magnitude", "error", "limit") if row[key]}
        datums.append(
            {
                "data_type": "photometry",
                "timestamp": row["time"] + "+00:00",
                "value": {**numbers, "filter": row["bandpass"], "instrument": row["instrument"], "unit": "AB mag"},
                "source_name": "Singer et al. 2015" if row["magnitude"] else "Toy et al. 2016",
            }
        )
    return datums


def _spectrum() -> dict[str, Any]:
    rows = _rows("sn2013dx_spectrum.csv")
    value = {
        "wavelength": [float(row["wavelength"]) for row in rows],
        "flux": [float(row["flux"]) for row in rows],
        "wavelength_units": "Angstrom",
        "flux_units": "erg / (Angstrom s cm2)",
        "telescope": "VLT-UT1",
        "instrument": "FORS2",
    }
    return {
        "data_type": "spectroscopy",
        "timestamp": SPECTRUM_TIME,
        "value": value,
        "source_name": "D'Elia et al. 2015",
    }


def _rows(name: str) -> list[dict[str, str]]:
    lines = _data(name).decode().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _data(name: str) -> bytes:
    return (files("bridge.demo") / "data" / name).read_bytes()
