"""Three manuals; the two weather stations differ in numbers more than in words."""

from __future__ import annotations

from pathlib import Path

from .layout import bar_chart, heading, line_chart, note, numbered, table, text, title, write_pdf

__all__ = ["write_manuals"]


def write_manuals(folder: Path) -> None:
    """Write ``skua-200.pdf``, ``skua-400.pdf`` and ``dipper.pdf``."""
    folder.mkdir(parents=True, exist_ok=True)
    _skua_200(folder / "skua-200.pdf")
    _skua_400(folder / "skua-400.pdf")
    _dipper(folder / "dipper.pdf")


def _skua_200(path: Path) -> None:
    overview = [
        *title("Skua 200", "Compact weather station. Installation and operating manual."),
        text(
            "The Skua 200 measures the weather where a full station would be too heavy or too dear: on farm "
            "tracks, roofs and building sites. One person can carry it and set it up within an hour. It has "
            "no moving parts other than the cup anemometer and the tipping bucket of the rain gauge."
        ),
        heading("1 What it measures"),
        table(
            [
                ("Quantity", "Range", "Accuracy"),
                ("Air temperature", "-40 to +60 °C", "± 0.3 °C"),
                ("Relative humidity", "0 to 100 %", "± 3 %"),
                ("Wind speed (cups)", "0.8 to 50 m/s", "± 0.5 m/s"),
                ("Wind direction (vane)", "0 to 360°", "± 5°"),
                ("Rain (tipping bucket)", "0 to 200 mm/h", "± 5 %"),
            ],
            (5, 4, 3),
            numbers=(1, 2),
        ),
        text(
            "The Skua 200 has no barometer and no radiation sensor. If you need either, order the Skua 400; "
            "they cannot be added later, because the logger of the smaller station lacks the inputs."
        ),
        heading("2 What is in the box"),
        text(
            "Station head with radiation shield, mast in two halves, base plate, rain gauge, solar panel, "
            "battery case, earth strap with lug, bag of fasteners, hexagon keys, this manual. Packed weight "
            "14 kg."
        ),
    ]
    mounting = [
        heading("3 Mounting the mast"),
        text(
            "The Skua 200 stands on a fixed mast of 2 m. Choose level ground, at least ten times as far from "
            "any obstacle as that obstacle is high."
        ),
        *numbered(
            [
                "Cast a concrete block of 40 × 40 × 50 cm and let it set for three days.",
                "Bolt the base plate to the block with the four anchors supplied.",
                "Slide the halves of the mast together, turn the arrow to north, and close the clamp.",
                "Push the sensor arm on and fix it with its two set screws.",
                "Fasten the earth strap to the mast and to the earth rod.",
            ]
        ),
        text("Tighten in the order of the table, with a torque wrench."),
        table(
            [
                ("Fastener", "Thread", "Key", "Torque"),
                ("Base plate anchor nut", "M10", "17 mm", "32 N·m"),
                ("Mast clamp bolt", "M6", "10 mm", "8 N·m"),
                ("Sensor arm set screw", "M5", "4 mm hexagon", "4 N·m"),
                ("Earth strap lug", "M8", "13 mm", "14 N·m"),
            ],
            (5, 2, 3, 2),
            numbers=(3,),
        ),
        note(
            "<b>Aluminium threads.</b> The clamp of the Skua 200 is cast aluminium. More than the stated "
            "torque strips the thread, and the whole clamp has to be replaced."
        ),
    ]
    power = [
        heading("4 Power and reporting interval"),
        text(
            "A 10 W solar panel charges a lithium iron phosphate battery of 12 Ah. Sending a report over the "
            "mobile network takes far more energy than measuring. The reporting interval therefore decides "
            "how long the station survives when snow covers the panel or a valley lies in shadow."
        ),
        bar_chart(
            "Figure 1. Skua 200: days of operation without any sun",
            ("every minute", "every 5 min", "every 10 min", "every 30 min", "every hour"),
            (4, 9, 14, 23, 31),
            axis="days from a full battery to cut-off at +5 °C, by reporting interval",
        ),
        text(
            "Below freezing the battery gives about a third less. North of 60° we advise the longest "
            "interval "
            "from November to February; the logger can change over by date (menu <i>Schedule</i>). Measured "
            "values are stored every minute whatever the reporting interval is, and nothing is lost "
            "when a report fails: the next one carries the backlog."
        ),
        heading("5 Changing the battery"),
        text(
            "Open the case with the station switched off, unplug the old battery, plug in the new one, and "
            "press the button until the lamp turns green. The clock keeps its time for two minutes."
        ),
    ]
    care = [
        heading("6 Yearly care"),
        text("A visit in spring keeps the readings within their limits. Allow forty minutes."),
        *numbered(
            [
                "Lift the funnel off the rain gauge, empty it of leaves, and wipe the bucket with "
                "water only.",
                "Spin the cups by hand. A rough sound means a worn bearing: order the bearing kit.",
                "Brush spider webs out of the radiation shield.",
                "Replace the drying cartridge in the logger case when its window is pink.",
                "Wash the solar panel and check that no branch has grown into its light.",
            ]
        ),
        heading("7 Lamp signals"),
        table(
            [
                ("Lamp", "Meaning", "What to do"),
                ("green, one flash", "all is well", "nothing"),
                ("green, two flashes", "sending a report", "wait"),
                ("amber, slow", "battery below 20 %", "clean the panel, report less often"),
                ("amber, fast", "no mobile network", "turn the antenna"),
                ("red", "sensor missing", "check the plugs in the logger case"),
            ],
            (4, 4, 6),
        ),
        heading("8 Taking it down"),
        text(
            "Switch the station off, unplug the sensors, loosen the mast clamp and lift the mast out of the "
            "base plate. Keep the drying cartridge in its bag. The concrete block can stay in the ground."
        ),
    ]
    pages = (overview, mounting, power, care)
    write_pdf(path, "Skua 200 manual", "TI-M-200, revision 4, March 2025", pages)


def _skua_400(path: Path) -> None:
    overview = [
        *title("Skua 400", "Full weather station. Installation and operating manual."),
        text(
            "The Skua 400 is the station for networks: airports, road services and research. It measures "
            "everything the Skua 200 does, and adds pressure, radiation and a heated rain gauge. Wind is "
            "measured by ultrasound, so that ice cannot stop it."
        ),
        heading("1 What it measures"),
        table(
            [
                ("Quantity", "Range", "Accuracy"),
                ("Air temperature", "-50 to +60 °C", "± 0.1 °C"),
                ("Relative humidity", "0 to 100 %", "± 1.5 %"),
                ("Wind speed (ultrasound)", "0 to 75 m/s", "± 0.2 m/s"),
                ("Wind direction (ultrasound)", "0 to 360°", "± 2°"),
                ("Rain and snow (heated bucket)", "0 to 400 mm/h", "± 2 %"),
                ("Air pressure", "500 to 1100 hPa", "± 0.2 hPa"),
                ("Global radiation", "0 to 2000 W/m²", "± 3 %"),
            ],
            (5, 4, 3),
            numbers=(1, 2),
        ),
        heading("2 What is in the boxes"),
        text(
            "The station comes in three boxes of 26, 31 and 18 kg: mast and guy ropes; sensors and "
            "logger; battery and panel. Four free inputs take soil probes, a snow depth sensor or a second "
            "rain gauge. Plugs are keyed, so that nothing can be connected wrongly."
        ),
    ]
    mounting = [
        heading("3 Mounting the mast"),
        text(
            "The Skua 400 stands on a tilting mast of 6 m, held by three guy ropes. Two people are needed. "
            "Choose level ground, at least ten times as far from any obstacle as that obstacle is high. Do "
            "not begin when gusts above 10 m/s are forecast."
        ),
        *numbered(
            [
                "Cast a concrete block of 80 × 80 × 80 cm and let it set for seven days.",
                "Bolt the hinge plate to the block and hang the mast, still lying, into the hinge.",
                "Fix the sensor arm with its two set screws while the mast lies on the trestle.",
                "Raise the mast with the winch, close the clamp, and hook the guy ropes in at 120°.",
                "Fasten the earth strap to the mast and to the ring conductor.",
            ]
        ),
        text("Tighten in the order of the table, with a torque wrench."),
        table(
            [
                ("Fastener", "Thread", "Key", "Torque"),
                ("Hinge plate anchor nut", "M12", "19 mm", "55 N·m"),
                ("Mast clamp bolt", "M8", "13 mm", "18 N·m"),
                ("Sensor arm set screw", "M6", "5 mm hexagon", "9 N·m"),
                ("Earth strap lug", "M8", "13 mm", "14 N·m"),
                ("Guy rope shackle", "M10", "17 mm", "hand-tight"),
            ],
            (5, 2, 3, 2),
            numbers=(3,),
        ),
        note(
            "<b>After the first storm</b> tighten the mast clamp once more: the galvanised surfaces settle. "
            "Then repeat it every autumn."
        ),
    ]
    power = [
        heading("4 Power and reporting interval"),
        text(
            "A 30 W solar panel charges a lithium iron phosphate battery of 40 Ah. The heater of the rain "
            "gauge draws as much as all sensors together; it runs between -5 and +4 °C only, and can be "
            "switched off from afar."
        ),
        bar_chart(
            "Figure 1. Skua 400: days of operation without any sun, heater off",
            ("every minute", "every 5 min", "every 10 min", "every 30 min", "every hour"),
            (6, 15, 22, 34, 41),
            axis="days from a full battery to cut-off at +5 °C, by reporting interval",
        ),
        text(
            "With the heater on, halve these figures. Where mains power is near, the 24 V input replaces the "
            "panel, and the battery bridges power cuts only. Measured values are stored every second and "
            "averaged to one minute; nothing is lost when a report fails."
        ),
        heading("5 Fuses"),
        text(
            "Three blade fuses sit behind the logger: 2 A for sensors, 5 A for the modem, 10 A for "
            "the heater. "
            "Never bridge a blown fuse. A heater fuse that blows twice means water in the gauge's plug."
        ),
    ]
    faults = [
        heading("6 Fault codes"),
        text(
            "The logger shows a code on its display and adds it to every report. Codes are kept until they "
            "are read, also over a change of battery. Work from the top: several sensors failing together "
            "nearly always have one cause."
        ),
        table(
            [
                ("Code", "Meaning", "What to do"),
                ("E03", "supply below 11.2 V", "clean or turn the panel; test the battery"),
                ("E08", "clock not set", "give the antenna a clear sky for five minutes"),
                ("E11", "wind sensor blocked", "remove birds' nests or tape from the ultrasound path"),
                ("E14", "pressure jumps", "the vent of the logger case is wet: replace the membrane"),
                ("E17", "rain gauge heater open", "check the 10 A fuse, then the plug"),
                ("E21", "memory card worn", "replace the card within a month"),
                ("E26", "tilt above 2°", "the mast leans: check guy ropes and shackles"),
                ("E30", "radiation below zero", "dome dirty or cable broken"),
            ],
            (1.4, 4, 7),
        ),
        heading("7 Reading the log"),
        text(
            "Connect a computer to the service port and open the address printed inside the door. The page "
            "<i>Events</i> lists the last 500 codes with their times. Send the exported file to the service "
            "desk with the station's serial number; a reply comes within one working day."
        ),
        note(
            "<b>Before you write to us</b>, restart the logger once (button, ten seconds). A third of all "
            "calls end there."
        ),
    ]
    pages = (overview, mounting, power, faults)
    write_pdf(path, "Skua 400 manual", "TI-M-400, revision 7, January 2025", pages)


def _dipper(path: Path) -> None:
    sampling = [
        *title("Dipper", "Automatic river sampler. Operating manual."),
        text(
            "The Dipper draws water from a river or a sewer with a peristaltic pump and fills up to 24 "
            "bottles by clock, by flow, or when a sensor calls. The water touches nothing but the tube and "
            "the bottle."
        ),
        heading("1 Choosing the pump tube"),
        text(
            "Wider tubes fill faster and let grit pass; narrower ones lift higher. Enter the diameter in the "
            "menu <i>Tube</i>, or the volumes will be wrong."
        ),
        table(
            [
                ("Inner diameter", "Flow", "Highest lift", "Largest grit", "Tube life"),
                ("3.2 mm", "45 ml/min", "8.5 m", "0.5 mm", "1,200 h"),
                ("4.8 mm", "95 ml/min", "7.8 m", "1.0 mm", "1,000 h"),
                ("6.4 mm", "160 ml/min", "7.0 m", "2.0 mm", "700 h"),
                ("8.0 mm", "240 ml/min", "6.1 m", "3.0 mm", "450 h"),
            ],
            (3, 3, 3, 3, 2.4),
            numbers=(1, 2, 3, 4),
        ),
        text(
            "Before each sample the pump runs backwards for ten seconds and blows the hose free. Set this "
            "to thirty seconds where leaves are about."
        ),
        heading("2 Placing the intake"),
        text(
            "Hang the intake in moving water, a hand's breadth above the bed, its holes facing downstream. "
            "Keep the hose falling all the way: a sag holds old water and spoils the next sample."
        ),
    ]
    cooling = [
        heading("3 Keeping samples cold"),
        text(
            "Nutrients change within hours in warm water. The cabinet cools to 3 °C and records the "
            "temperature of a reference bottle every ten minutes. Most laboratories accept samples that "
            "stayed at or below 6 °C and arrive within 48 hours."
        ),
        line_chart(
            "Figure 1. Reference bottle after a power cut at 25 °C outside",
            {
                "lid closed": [(0, 3), (2, 3.8), (4, 4.7), (6, 5.6), (8, 6.6), (10, 7.5)],
                "lid opened once an hour": [(0, 3), (2, 5.2), (4, 7.9), (6, 10.4), (8, 12.7), (10, 14.6)],
            },
            x_axis="hours since the power cut",
            y_axis="water temperature in °C",
        ),
        text(
            "After a power cut the Dipper goes on sampling from its own battery, but does not cool. The "
            "report marks every bottle that was above 6 °C."
        ),
        heading("4 Cleaning"),
        text(
            "Rinse hose and tube with citric acid of 5 % after each campaign, then with clean water until "
            "the acid is gone. Bottles go into the dishwasher. Never use bleach: traces of chlorine kill "
            "what the laboratory wants to count."
        ),
    ]
    write_pdf(path, "Dipper manual", "TI-M-D24, revision 2, June 2024", (sampling, cooling))
