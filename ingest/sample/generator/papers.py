"""Short papers: a safety data sheet, two service bulletins, a scanned certificate, and plain notes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from .layout import heading, note, numbered, render, table, text, title, write_pdf

__all__ = ["write_bulletins", "write_certificate", "write_data_sheet", "write_notes"]


def write_data_sheet(folder: Path) -> None:
    """Write the safety data sheet of a cleaner, ``contact-cleaner.pdf``."""
    folder.mkdir(parents=True, exist_ok=True)
    hazards = [
        *title("Contact cleaner TC-5", "Safety data sheet. 500 ml bottle, order number 90-1105."),
        heading("1 Hazards"),
        text(
            "Highly flammable liquid and vapour. Causes serious eye irritation. May cause drowsiness or "
            "dizziness. Signal word: <b>Danger</b>. Use: removing oil and oxide from plugs and switches."
        ),
        heading("2 Composition"),
        table(
            [
                ("Substance", "CAS number", "Share by weight"),
                ("Propan-2-ol", "67-63-0", "85 to 95 %"),
                ("Water", "7732-18-5", "5 to 15 %"),
            ],
            (4, 3, 3),
            numbers=(1, 2),
        ),
        heading("3 First aid"),
        table(
            [
                ("Exposure", "Measure"),
                ("Inhalation", "Bring the person into fresh air, keep them warm, and let them rest."),
                ("Skin", "Take off wet clothing. Wash with soap and plenty of water."),
                (
                    "Eyes",
                    "Rinse under running water for 15 minutes, lids wide open. Take out contact lenses.",
                ),
                ("Ingestion", "Rinse the mouth. Do not induce vomiting. Call a poison centre at once."),
            ],
            (2, 8),
        ),
        text("Show this sheet to the doctor. Symptoms may set in hours later."),
        heading("4 Fire"),
        text(
            "Extinguish with alcohol-resistant foam, dry powder or carbon dioxide, never with a full jet of "
            "water. The vapour is heavier than air, creeps along the floor, and can flash back."
        ),
    ]
    storage = [
        heading("5 Storage and transport"),
        text(
            "Keep bottles closed, upright, between 5 and 30 °C, away from sun, sparks and oxidising agents. "
            "In a vehicle carry no more than two bottles, in the ventilated box. Class 3, UN 1219, packing "
            "group II."
        ),
        heading("6 Protection at work"),
        table(
            [
                ("Part", "Requirement"),
                ("Air", "open windows or extraction; exposure limit 200 ppm over eight hours"),
                ("Hands", "nitrile gloves, 0.4 mm, changed after two hours"),
                ("Face", "goggles when spraying or working overhead"),
                ("Ignition", "earthed tools, no smoking, no hot plates within 3 m"),
            ],
            (2, 8),
        ),
        heading("7 Physical properties"),
        table(
            [
                ("Property", "Value"),
                ("Appearance", "clear, colourless, smells of alcohol"),
                ("Boiling point", "82 °C"),
                ("Flash point", "14 °C"),
                ("Explosive limits in air", "2 to 12.7 % by volume"),
                ("Density at 20 °C", "0.81 g/ml"),
            ],
            (4, 6),
        ),
        heading("8 Spills and disposal"),
        text(
            "Soak up with sand, never with sawdust, and keep the liquid out of drains. Empty bottles with "
            "the cap on count as packaging waste; bottles with residues go to the hazardous waste point."
        ),
    ]
    pages = (hazards, storage)
    write_pdf(folder / "contact-cleaner.pdf", "Safety data sheet TC-5", "SDS-TC-5, May 2025", pages)


def write_bulletins(folder: Path) -> None:
    """Write two service bulletins about look-alike parts, the newer one with a metadata sidecar."""
    folder.mkdir(parents=True, exist_ok=True)
    older = [
        *title("Service bulletin 027", "Skua 200: reed switch of the rain gauge sticks in frost"),
        text(
            "In stations made between October 2023 and February 2024 the reed switch under the "
            "tipping bucket "
            "can stick below -8 °C. The station then reports no rain at all after a thaw, without a fault "
            "code. Replace the switch at the next visit, free of charge."
        ),
        heading("Affected"),
        table(
            [
                ("Station", "Serial numbers", "Part fitted", "Replace with"),
                ("Skua 200", "S2-23-4100 to S2-24-0655", "TW-88-2041-A", "TW-88-2041-B"),
            ],
            (2, 5, 3, 3),
        ),
        heading("Work"),
        *numbered(
            [
                "Take off the funnel and lift the bucket out of its bearing.",
                "Unscrew the old switch, two cross-head screws, and unplug it.",
                "Fit the new switch with its marked side towards the magnet.",
                "Tip the bucket ten times; the display must count exactly ten.",
            ]
        ),
        text("Time allowed: 25 minutes. Send the old switch back with form 11; we examine every one."),
        note("This bulletin does not apply to heated gauges. See bulletin 031."),
    ]
    newer = [
        *title("Service bulletin 031", "Skua 400: reed switch of the heated rain gauge counts twice"),
        text(
            "In heated gauges delivered between March and July 2025 the reed switch may bounce when the "
            "heater is running, so that one tip of the bucket is counted as two and rainfall comes out too "
            "high. A switch with a silicone bed cures this. Replace it within three months."
        ),
        heading("Affected"),
        table(
            [
                ("Station", "Serial numbers", "Part fitted", "Replace with"),
                ("Skua 400", "S4-25-0112 to S4-25-0479", "TW-88-2041-B", "TW-88-2041-C"),
                ("Skua 400 coastal", "S4C-25-003 to S4C-25-038", "TW-88-2043-A", "TW-88-2043-B"),
            ],
            (3, 5, 3, 3),
        ),
        heading("Work"),
        *numbered(
            [
                "Pull the 10 A fuse of the heater and let the gauge cool for ten minutes.",
                "Take off the funnel, unplug the heater ring, and lift the bucket out.",
                "Change the switch and press it into its silicone bed.",
                "Put the fuse back, wait for the heater, and pour 200 ml in slowly: 100 tips, ± 2.",
            ]
        ),
        text(
            "Time allowed: 45 minutes. Rainfall recorded since delivery can be corrected by the "
            "service desk: "
            "send the exported log."
        ),
    ]
    write_pdf(folder / "sb-027.pdf", "Service bulletin 027", "SB-027, 11 April 2024", [older])
    write_pdf(folder / "sb-031.pdf", "Service bulletin 031", "SB-031, 2 September 2025", [newer])
    facts = {
        "title": "Service bulletin 031",
        "product": "Skua 400",
        "audience": "service",
        "valid_until": "2026-12-31",
    }
    _write_json(folder / "sb-031.pdf.meta.json", facts)


def write_certificate(folder: Path) -> None:
    """Write ``calibration-certificate.jpg``: a page as a cheap scanner would deliver it, no text layer."""
    folder.mkdir(parents=True, exist_ok=True)
    page = [
        *title("Calibration certificate", "No. K-25-0387. Wind tunnel 2, 14 October 2025"),
        table(
            [
                ("Item", "Entry"),
                ("Instrument", "Cup anemometer, type WS-2, serial number A-7719"),
                ("Customer", "Harbour Office, Lower Quay"),
                ("Conditions", "21.4 °C, 1009 hPa, 48 % relative humidity"),
                ("Method", "comparison with a Pitot tube, ten readings per speed"),
            ],
            (2, 6),
        ),
        heading("Results"),
        table(
            [
                ("Tunnel, m/s", "Anemometer, m/s", "Deviation, m/s", "Uncertainty, m/s"),
                ("2.0", "1.8", "-0.2", "0.10"),
                ("5.0", "4.9", "-0.1", "0.10"),
                ("10.0", "10.1", "+0.1", "0.12"),
                ("20.0", "20.6", "+0.6", "0.15"),
                ("30.0", "31.1", "+1.1", "0.20"),
            ],
            (3, 3, 3, 3),
            numbers=(0, 1, 2, 3),
        ),
        text(
            "The instrument is within its limits of ± 0.5 m/s up to 10 m/s and outside them above. We "
            "recommend new bearings and a second calibration before further use."
        ),
        text("Calibrated by R. Osei. Released by M. Lindqvist."),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        pdf = Path(scratch) / "page.pdf"
        write_pdf(pdf, "Calibration laboratory", "K-25-0387", [page])
        clean = render(pdf.read_bytes(), dpi=130)[0]
    _scan(clean).save(folder / "calibration-certificate.jpg", quality=62, optimize=True, dpi=(130, 130))


def _scan(page: Image.Image) -> Image.Image:
    """Return the page in grey, a little askew, soft and grainy; the lower third, which is empty, cut off."""
    grey = page.convert("L").crop((0, 0, page.width, int(0.68 * page.height)))
    askew = grey.rotate(0.5, resample=Image.Resampling.BICUBIC, fillcolor=252)
    soft = np.asarray(askew.filter(ImageFilter.GaussianBlur(0.45)), dtype=np.float32)
    grain = np.random.default_rng(7).normal(0, 2.2, soft.shape)
    return Image.fromarray(np.clip(soft * 0.95 + 6 + grain, 0, 255).astype(np.uint8))


def write_notes(folder: Path) -> None:
    """Write two notes: ``moor-visit.md`` and ``van-stock.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "moor-visit.md").write_text(_MOOR_VISIT, encoding="utf-8")
    (folder / "van-stock.txt").write_text(_VAN_STOCK, encoding="utf-8")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


_MOOR_VISIT = """\
# Visit to the Raven Moor station, 6 November 2025

Soil moisture at 20 cm had read zero since the end of October. Temperature and rain looked right.

Voles had gnawed the insulation of the soil probe cable just below the surface, and water had crept into \
the copper. The plug inside the logger case was green. The mast stood straight, the guy ropes were tight.

- New soil probe and cable, the old hole filled with clay.
- The lowest metre of every cable now runs through a stainless steel conduit, its ends plugged with foam. \
This should become the rule for all grassland sites.
- Peat cut back half a metre around the block.

Still open: the farmer would like to see the readings on his telephone. Promised him an answer by Christmas.
"""

_VAN_STOCK = """\
Stock list of service van 3, checked 1 December 2025

Bearing kits for cup anemometers: 4
Reed switches TW-88-2041-B: 6
Drying cartridges: 20
Blade fuses, 2 A and 5 A: 10 of each; 10 A: none left, on order
Pump tube for the Dipper, 6.4 mm: 12 m
Contact cleaner TC-5: 2 bottles, in the ventilated box
Torque wrench 5 to 60 N·m: 1, calibrated until March 2026
"""
