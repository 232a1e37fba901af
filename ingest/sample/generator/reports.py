"""Two annual reports that share their structure and most of their words, but not their numbers."""

from __future__ import annotations

from pathlib import Path

from .layout import bar_chart, grouped_bar_chart, heading, table, text, title, write_pdf

__all__ = ["write_reports"]

_QUARTERS = ("January to March", "April to June", "July to September", "October to December")


def write_reports(folder: Path) -> None:
    """Write ``annual-report-2024.pdf`` and ``annual-report-2025.pdf``."""
    folder.mkdir(parents=True, exist_ok=True)
    _report_2024(folder / "annual-report-2024.pdf")
    _report_2025(folder / "annual-report-2025.pdf")


def _report_2024(path: Path) -> None:
    letter = [
        *title("Annual report 2024", "Tarnwick Instruments Ltd., year ended 31 December 2024"),
        heading("A wet year"),
        text(
            "It rained on our customers, and that was good for us. Floods in spring brought orders for river "
            "samplers that we could not fill before autumn; the waiting time reached nineteen weeks in May. "
            "We rented a second hall, trained eleven new fitters, and had it down to six weeks by December."
        ),
        text(
            "The Skua 200 was sold to farmers in larger numbers than we had dared to plan. The Skua "
            "400 had a "
            "quieter year: two road authorities put their tenders off until 2025. We used the time "
            "to certify "
            "its ultrasonic wind sensor for airports."
        ),
        heading("What we got wrong"),
        text(
            "A batch of rain gauges left the hall with reed switches that stuck in frost. We found it late, "
            "because complaints went to three different desks. There is now one service desk, and every "
            "returned part is looked at within a week."
        ),
        heading("What comes next"),
        text(
            "We will open a calibration laboratory of our own in 2025, so that certificates no longer wait "
            "for others. The board proposes no dividend and keeps the profit for that purpose."
        ),
        text("Ingrid Maalen, managing director"),
    ]
    revenue = [
        heading("Revenue by product line"),
        text(
            "Revenue rose by 14.7 % to 23.4 million euros. River samplers grew the most, and service "
            "contracts became the third largest line. Figures are in thousands of euros."
        ),
        table(
            [
                ("Product line", "2024", "2023", "Change"),
                ("Compact stations (Skua 200)", "7,310", "6,120", "+19.4 %"),
                ("Full stations (Skua 400)", "6,480", "6,905", "-6.2 %"),
                ("River samplers (Dipper)", "4,260", "2,975", "+43.2 %"),
                ("Service contracts", "3,640", "3,050", "+19.3 %"),
                ("Spare parts", "1,710", "1,350", "+26.7 %"),
                ("<b>Total</b>", "<b>23,400</b>", "<b>20,400</b>", "<b>+14.7 %</b>"),
            ],
            (5, 2, 2, 2),
            numbers=(1, 2, 3),
        ),
        heading("Result"),
        table(
            [
                ("Item", "2024", "2023"),
                ("Cost of materials", "9,830", "8,490"),
                ("Staff", "8,120", "7,260"),
                ("Depreciation and rent", "2,310", "1,820"),
                ("Operating profit", "3,140", "2,830"),
                ("Profit after tax", "2,290", "2,070"),
            ],
            (5, 2, 2),
            numbers=(1, 2),
        ),
        text(
            "Rent for the second hall is included from June. Two customers account for more than a tenth of "
            "revenue each; a year ago there were three."
        ),
    ]
    people = [
        heading("People"),
        text(
            "At the end of the year 148 people worked for us, 17 more than a year before, six of them as "
            "apprentices. There were five accidents with lost time, two of them on a ladder. Fitters now "
            "have safety training every spring."
        ),
        heading("Energy and waste"),
        text(
            "The second hall raised our use of energy. Heat is still the largest part. A heat pump has been "
            "ordered for the old hall and will start in autumn 2025."
        ),
        bar_chart(
            "Energy used in 2024, by source",
            ("Natural gas", "Bought electricity", "Own solar power", "Vehicle fuel"),
            (612, 438, 96, 274),
            axis="megawatt-hours",
            horizontal=True,
        ),
        text(
            "Packaging was changed from foam to cardboard. Aluminium swarf, 9 tonnes, went back to the "
            "foundry. Batteries that fail in testing go to a licensed recycler."
        ),
    ]
    pages = (letter, revenue, people)
    write_pdf(path, "Annual report 2024", "Tarnwick Instruments Ltd., AR-2024", pages)


def _report_2025(path: Path) -> None:
    letter = [
        *title("Annual report 2025", "Tarnwick Instruments Ltd., year ended 31 December 2025"),
        heading("A year of roads and runways"),
        text(
            "The tenders that had been put off came, and we won four of six. Full stations now stand along "
            "1,300 km of motorway and at nine regional airports. To deliver them on time we stopped making "
            "river samplers for five weeks, and some customers had to wait; we thank them for their patience."
        ),
        text(
            "Our calibration laboratory opened in March and was accredited in August. It has issued 412 "
            "certificates, a quarter of them for instruments of other makers."
        ),
        heading("What we got wrong"),
        text(
            "The move to a new planning system stopped dispatch for eight working days in February. We had "
            "tested it with last year's orders, not with this year's number of variants."
        ),
        heading("What comes next"),
        text(
            "A buoy for lakes, the Grebe, is on trial with three water boards. It will be offered from the "
            "second half of 2026. The board proposes a dividend of 0.40 euros per share, the first since "
            "2021."
        ),
        text("Ingrid Maalen, managing director"),
    ]
    revenue = [
        heading("Revenue by product line"),
        text(
            "Revenue rose by 16.2 % to 27.2 million euros. Full stations grew the most, while river "
            "samplers fell back after an exceptional year. Figures are in thousands of euros."
        ),
        table(
            [
                ("Product line", "2025", "2024", "Change"),
                ("Compact stations (Skua 200)", "7,545", "7,310", "+3.2 %"),
                ("Full stations (Skua 400)", "9,390", "6,480", "+44.9 %"),
                ("River samplers (Dipper)", "3,815", "4,260", "-10.4 %"),
                ("Service contracts", "4,330", "3,640", "+19.0 %"),
                ("Spare parts", "1,560", "1,710", "-8.8 %"),
                ("Calibration", "560", "0", "new"),
                ("<b>Total</b>", "<b>27,200</b>", "<b>23,400</b>", "<b>+16.2 %</b>"),
            ],
            (5, 2, 2, 2),
            numbers=(1, 2, 3),
        ),
        heading("Result"),
        table(
            [
                ("Item", "2025", "2024"),
                ("Cost of materials", "11,450", "9,830"),
                ("Staff", "9,240", "8,120"),
                ("Depreciation and rent", "2,690", "2,310"),
                ("Operating profit", "3,820", "3,140"),
                ("Profit after tax", "2,780", "2,290"),
            ],
            (5, 2, 2),
            numbers=(1, 2),
        ),
        text("One customer, a national road authority, accounts for 18 % of revenue."),
    ]
    deliveries = [
        heading("Deliveries through the year"),
        text(
            "Farmers buy before the growing season, authorities when their budgets are released. The two "
            "stations therefore keep different calendars, and the hall can be used evenly if we plan well. "
            "This year we did not quite."
        ),
        grouped_bar_chart(
            "Stations delivered in 2025, by quarter",
            _QUARTERS,
            {"Skua 200": (395, 610, 288, 217), "Skua 400": (104, 163, 318, 241)},
            axis="stations",
        ),
        text(
            "Waiting time, from order to dispatch, was nine weeks on average and fourteen at worst. For 2026 "
            "we have agreed fixed delivery months with the three largest customers."
        ),
        heading("Where they went"),
        table(
            [
                ("Region", "Skua 200", "Skua 400"),
                ("Nordic countries", "512", "287"),
                ("Britain and Ireland", "431", "164"),
                ("Central Europe", "398", "301"),
                ("Elsewhere", "169", "74"),
            ],
            (5, 2, 2),
            numbers=(1, 2),
        ),
    ]
    people = [
        heading("People"),
        text(
            "At the end of the year 163 people worked for us, nine of them as apprentices. There were three "
            "accidents with lost time, after five the year before. Two thirds of the staff took part in the "
            "new savings plan."
        ),
        heading("Taking old stations back"),
        text(
            "Since April, customers can return retired stations and samplers from any year of manufacture. "
            "We pay the carriage and charge nothing. Of 236 units returned so far, 61 were repaired "
            "and given "
            "to schools; the rest was taken apart, and 84 % of their weight was used again."
        ),
        bar_chart(
            "Where the weight of returned units went, 2025",
            ("Metals, melted", "Parts, used again", "Plastics, reground", "Burnt or dumped"),
            (2140, 890, 610, 690),
            axis="kilograms",
            horizontal=True,
        ),
        heading("Energy"),
        text(
            "The heat pump started in October, a month late. Use of natural gas fell to 497 megawatt-hours "
            "and should fall by half again in 2026."
        ),
    ]
    pages = (letter, revenue, deliveries, people)
    write_pdf(path, "Annual report 2025", "Tarnwick Instruments Ltd., AR-2025", pages)
