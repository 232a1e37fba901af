"""Write the sample that ``make demo`` ingests: documents of an invented company, and twelve questions.

Needs reportlab, which the development environment brings; the sample itself is kept in the repository,
so nobody has to run this. The same versions of reportlab, pypdfium2 and Pillow write the same bytes.

    python ingest/make_sample.py [FOLDER]      default: ingest/sample
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sample.generator.manuals import write_manuals
from sample.generator.papers import write_bulletins, write_certificate, write_data_sheet, write_notes
from sample.generator.questions import write_questions
from sample.generator.reports import write_reports
from sample.generator.training import write_deck

__all__ = ["main"]


def main(folder: Path) -> None:
    """Replace ``documents`` and ``questions`` in ``folder``."""
    documents = folder / "documents"
    shutil.rmtree(documents, ignore_errors=True)
    write_manuals(documents / "manuals")
    write_reports(documents / "reports")
    write_data_sheet(documents / "safety")
    write_bulletins(documents / "bulletins")
    write_deck(documents / "training")
    write_certificate(documents / "scans")
    write_notes(documents / "notes")
    write_questions(folder / "questions")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "sample")
