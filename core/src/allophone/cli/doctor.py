"""`allophone doctor`: checks the installation."""

from __future__ import annotations

import json as json_format
import sys

import click

STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


@click.command("doctor", help="Check this machine, the installed packages and the plugins.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    from attrs import asdict
    from rich.table import Table
    from rich.text import Text

    from allophone.cli.console import console
    from allophone.cli.doctor_checks import examine

    findings = list(examine())
    if as_json:
        click.echo(json_format.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("check", "", "found", box=None, pad_edge=False)
        for finding in findings:
            found = Text(finding.found)
            if finding.advice:
                found.append(f"\n{finding.advice}", style="bold")
            status = Text(finding.status, style=STYLES[finding.status])
            table.add_row(Text(finding.check), status, found)
        console.print(table)
    if any(finding.status == "failure" for finding in findings):
        sys.exit(1)
