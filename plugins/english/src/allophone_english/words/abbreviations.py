"""Abbreviations, by what may follow them."""

from __future__ import annotations

TITLES = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Mizz",
    "Dr": "Doctor",
    "Drs": "Doctors",
    "Prof": "Professor",
    "Gen": "General",
    "Col": "Colonel",
    "Maj": "Major",
    "Capt": "Captain",
    "Cmdr": "Commander",
    "Adm": "Admiral",
    "Lt": "Lieutenant",
    "Sgt": "Sergeant",
    "Cpl": "Corporal",
    "Rev": "Reverend",
    "Fr": "Father",
    "Hon": "Honorable",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Pres": "President",
    "Supt": "Superintendent",
    "Mt": "Mount",
    "Ft": "Fort",
    "St": "Saint",
    "Ste": "Sainte",
}
"""Before a name; the point is no end of a sentence."""

TITLES_WITHOUT_POINT = {"Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Mt", "Lt", "Sgt", "Capt"}
"""British English writes them so."""

LINKS = {
    "e.g.": "for example",
    "eg.": "for example",
    "i.e.": "that is",
    "ie.": "that is",
    "a.k.a.": "also known as",
    "vs.": "versus",
    "vs": "versus",
    "approx.": "approximately",
    "dept.": "department",
    "govt.": "government",
    "incl.": "including",
    "excl.": "excluding",
    "avg.": "average",
    "est.": "established",
    "cf.": "compare",
    "viz.": "namely",
    "w/": "with",
    "w/o": "without",
    "c/o": "care of",
    "&c.": "et cetera",
}
"""Words that something must follow, so that their point ends a sentence only where the text ends."""

ENDINGS = {
    "Etc.": "Et cetera",
    "etc.": "et cetera",
    "et al.": "et al",
    "Inc.": "Incorporated",
    "Corp.": "Corporation",
    "Co.": "Company",
    "Ltd.": "Limited",
    "Bros.": "Brothers",
    "Ltd": "Limited",
    "Inc": "Incorporated",
    "Corp": "Corporation",
    "Bros": "Brothers",
    "Jr": "Junior",
    "Sr": "Senior",
    "Assn.": "Association",
    "Dept.": "Department",
    "Univ.": "University",
    "Jr.": "Junior",
    "Sr.": "Senior",
    "Esq.": "Esquire",
    "Ph.D.": "PhD",
    "a.m.": "AM",
    "p.m.": "PM",
}
"""Words whose point also ends a sentence where a capital letter follows."""

BEFORE_NUMBER = {
    "no.": "number",
    "nos.": "numbers",
    "p.": "page",
    "pp.": "pages",
    "pg.": "page",
    "vol.": "volume",
    "vols.": "volumes",
    "ch.": "chapter",
    "chap.": "chapter",
    "fig.": "figure",
    "figs.": "figures",
    "sec.": "section",
    "sect.": "section",
    "art.": "article",
    "eq.": "equation",
    "ver.": "version",
    "ext.": "extension",
    "apt.": "apartment",
    "ste.": "suite",
    "bldg.": "building",
    "rm.": "room",
    "hwy.": "highway",
    "hwy": "highway",
    "rte.": "route",
    "rte": "route",
    "rt.": "route",
    "tel.": "telephone",
    "ca.": "circa",
    "c.": "circa",
    "max.": "maximum",
    "min.": "minimum",
    "#": "number",
    "№": "number",
    "§": "section",
    "§§": "sections",
    "¶": "paragraph",
    "~": "about",
    "≈": "about",
}
"""Before digits alone."""

STREETS = {
    "St": "Street",
    "Ave": "Avenue",
    "Av": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Dr": "Drive",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Sq": "Square",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Terr": "Terrace",
    "Expy": "Expressway",
}
"""After the name of a street."""

STREET_WORDS = "|".join({*STREETS, *STREETS.values(), "Way", "Circle", "Row", "Crescent"})
DIRECTIONS = {"N": "North", "S": "South", "E": "East", "W": "West", "NE": "Northeast", "NW": "Northwest", "SE": "Southeast", "SW": "Southwest"}  # fmt: skip

INITIALISMS = {
    "WWI": "World War one",
    "WWII": "World War two",
    "WWIII": "World War three",
}
"""Letters that are not read one by one."""
