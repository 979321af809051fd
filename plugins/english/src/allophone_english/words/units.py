"""Units of measurement: each symbol with its singular and its plural."""

from __future__ import annotations

Names = tuple[str, str]
"""Singular and plural."""

_PREFIXES = {"n": "nano", "µ": "micro", "μ": "micro", "m": "milli", "c": "centi", "h": "hecto", "k": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta"}  # fmt: skip
_PREFIXED: dict[str, tuple[str, str, str]] = {
    # symbol: prefixes that it takes, singular, plural
    "m": ("nµμmck", "meter", "meters"),
    "g": ("nµμmk", "gram", "grams"),
    "L": ("µμmch", "liter", "liters"),
    "l": ("µμmch", "liter", "liters"),
    "s": ("nµμm", "second", "seconds"),
    "W": ("mkMGT", "watt", "watts"),
    "V": ("µμmkM", "volt", "volts"),
    "A": ("µμmk", "amp", "amps"),
    "Hz": ("mkMGT", "hertz", "hertz"),
    "J": ("mkMG", "joule", "joules"),
    "N": ("mk", "newton", "newtons"),
    "Pa": ("mhkMG", "pascal", "pascals"),
    "eV": ("mkMGT", "electron volt", "electron volts"),
    "Wh": ("mkMGT", "watt hour", "watt hours"),
    "Ah": ("mk", "amp hour", "amp hours"),
    "mol": ("nµμmk", "mole", "moles"),
    "cal": ("k", "calorie", "calories"),
    "B": ("kMGTP", "byte", "bytes"),
    "bit": ("kMG", "bit", "bits"),
    "b": ("kMGT", "bit", "bits"),
    "bps": ("kMGT", "bit per second", "bits per second"),
    "Ω": ("mkM", "ohm", "ohms"),
    "F": ("nµμm", "farad", "farads"),
    "T": ("m", "tesla", "teslas"),
    "Sv": ("µμm", "sievert", "sieverts"),
    "dB": ("", "decibel", "decibels"),
}
# Symbols that are too often something else to be units of their own.
_NEVER_ALONE = {"A", "N", "F", "T", "b", "B", "Ah", "eV", "bps"}

UNITS: dict[str, Names] = {
    prefix + symbol: (_PREFIXES.get(prefix, "") + one, _PREFIXES.get(prefix, "") + many)
    for symbol, (prefixes, one, many) in _PREFIXED.items()
    for prefix in ("", *prefixes)
    if prefix or symbol not in _NEVER_ALONE
} | {
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "° C": ("degree Celsius", "degrees Celsius"),
    "° F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "℃": ("degree Celsius", "degrees Celsius"),
    "℉": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "º": ("degree", "degrees"),
    "KG": ("kilogram", "kilograms"),
    "Kg": ("kilogram", "kilograms"),
    "KM": ("kilometer", "kilometers"),
    "Km": ("kilometer", "kilometers"),
    "LBS": ("pound", "pounds"),
    "MPH": ("mile per hour", "miles per hour"),
    "mbps": ("megabit per second", "megabits per second"),
    "gbps": ("gigabit per second", "gigabits per second"),
    "KB": ("kilobyte", "kilobytes"),
    "KiB": ("kibibyte", "kibibytes"),
    "MiB": ("mebibyte", "mebibytes"),
    "GiB": ("gibibyte", "gibibytes"),
    "Kbps": ("kilobit per second", "kilobits per second"),
    "fps": ("frame per second", "frames per second"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "RPM": ("revolution per minute", "revolutions per minute"),
    "bpm": ("beat per minute", "beats per minute"),
    "dpi": ("dot per inch", "dots per inch"),
    "ppm": ("part per million", "parts per million"),
    "mph": ("mile per hour", "miles per hour"),
    "mpg": ("mile per gallon", "miles per gallon"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "kmh": ("kilometer per hour", "kilometers per hour"),
    "psi": ("pound per square inch", "pounds per square inch"),
    "mi": ("mile", "miles"),
    "ft": ("foot", "feet"),
    "in.": ("inch", "inches"),
    "yd": ("yard", "yards"),
    "yds": ("yard", "yards"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "fl oz": ("fluid ounce", "fluid ounces"),
    "fl. oz": ("fluid ounce", "fluid ounces"),
    "qt": ("quart", "quarts"),
    "gal": ("gallon", "gallons"),
    "tbsp": ("tablespoon", "tablespoons"),
    "Tbsp": ("tablespoon", "tablespoons"),
    "tsp": ("teaspoon", "teaspoons"),
    "sqft": ("square foot", "square feet"),
    "ha": ("hectare", "hectares"),
    "cc": ("cubic centimeter", "cubic centimeters"),
    "hp": ("horsepower", "horsepower"),
    "HP": ("horsepower", "horsepower"),
    "bhp": ("brake horsepower", "brake horsepower"),
    "mcg": ("microgram", "micrograms"),
    "ft-lb": ("foot pound", "foot pounds"),
    "ft-lbs": ("foot pound", "foot pounds"),
    "px": ("pixel", "pixels"),
    "pt": ("pint", "pints"),
    "kt": ("knot", "knots"),
    "ct": ("carat", "carats"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "wk": ("week", "weeks"),
    "wks": ("week", "weeks"),
    "yr": ("year", "years"),
    "yrs": ("year", "years"),
    "mos": ("month", "months"),
    "AU": ("astronomical unit", "astronomical units"),
    "bar": ("bar", "bars"),
    "K": ("kelvin", "kelvins"),
}
"""Symbols of units, which follow their number."""

# "4K" is a screen, "5 K" may be kelvins: a number takes these only after a space.
APART = {"K", "AU", "pt"}
# The letters of numbers and streets as well: "7 W. 34th St.".
WITHOUT_POINT = {"W", "V", "J", "L", "K", "h", "m", "s", "g", "l"}

BELOW: dict[str, str] = {symbol: one for symbol, (one, _) in UNITS.items()} | {
    "A": "amp", "B": "byte", "in": "inch", "min": "minute", "mo": "month", "d": "day",
}  # fmt: skip
"""What may stand below a slash, in the singular: "km/h", "$5/lb"."""

PERIODS = (
    "second|minute|hour|night|day|week|month|quarter|year|person|capita|head|unit|share|piece|item|"
    "user|seat|game|mile|pound|ounce|gallon|acre|barrel|ton|kilo|kilogram|pack|box|dozen|call|page"
)
"""Words that a slash is "per" before: "$900/month"."""

POWERS = {"²": "square", "³": "cubic", "^2": "square", "^3": "cubic", "2": "square", "3": "cubic"}
SQUARED = {"m", "cm", "mm", "km", "ft", "in", "in.", "mi", "yd", "s"}
"""Units that a power may follow: "m²", "cm3"."""
