#!/usr/bin/env python3
"""picture.py < TERMINAL-OUTPUT > PICTURE.svg: what a terminal showed, colours included.

    CLICOLOR_FORCE=1 COLUMNS=88 make demo 2>/dev/null | scripts/picture.py > docs/demo.svg
"""
import html
import re
import sys

COLOURS = {"31": "#f7768e", "32": "#9ece6a", "33": "#e0af68", "34": "#7aa2f7", "36": "#7dcfff",
           "91": "#f7768e", "92": "#9ece6a", "93": "#e0af68", "94": "#7aa2f7", "96": "#7dcfff"}
CELL, LINE, MARGIN = 8.4, 18, 16


def spans(line):
    """The line as (text, style) runs."""
    style, runs, last = "", [], 0
    for match in re.finditer(r"\x1b\[([0-9;]*)m", line):
        runs.append((line[last:match.start()], style))
        last = match.end()
        for code in (match.group(1) or "0").split(";"):
            if code in ("", "0", "39", "22"):
                style = ""
            elif code == "1":
                style += "font-weight:bold;"
            elif code == "2":
                style += "opacity:.6;"
            elif code in COLOURS:
                style += f"fill:{COLOURS[code]};"
    runs.append((line[last:], style))
    return [run for run in runs if run[0]]


def main():
    lines = [line.rstrip("\n").split("\r")[-1] for line in sys.stdin]
    plain = [re.sub(r"\x1b\[[0-9;]*[mK]", "", line) for line in lines]
    width = max(map(len, plain), default=0) * CELL + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
          f'font-family="ui-monospace,SFMono-Regular,Menlo,DejaVu Sans Mono,monospace" font-size="14">')
    print('<rect width="100%" height="100%" rx="8" fill="#1a1b26"/>')
    for number, line in enumerate(lines):
        column, y = 0, MARGIN + (number + 0.75) * LINE
        prompt = plain[number].startswith("$ ")
        for text, style in spans(re.sub(r"\x1b\[[0-9;]*K", "", line)):
            style = "fill:#7aa2f7;font-weight:bold;" if prompt else style if "fill" in style else "fill:#c0caf5;" + style
            x = MARGIN + column * CELL
            length = f' textLength="{len(text) * CELL:.1f}"'
            print(f'<text x="{x:.1f}" y="{y:.1f}"{length} style="white-space:pre;{style}" xml:space="preserve">'
                  f"{html.escape(text)}</text>")
            column += len(text)
    print("</svg>")


main()
