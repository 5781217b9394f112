"""A tariff as a rule: the smallest model in Python. Deploy it with: bin/slipway deploy examples/tariff --name tariff --allow-code"""

BASE = {"Bern": 120.0, "Basel": 140.0}


def load():
    """Called once. What it gives is the first parameter of every call."""
    return BASE


def predict(base, age: int, insured: float, place: str = "Bern") -> {"premium": float, "group": str}:
    """Called row by row, because its types are those of one value."""
    young = age < 26
    premium = base[place] + insured * (0.002 if young else 0.001)
    return {"premium": premium, "group": "young" if young else "standard"}
