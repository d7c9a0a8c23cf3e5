"""Public-sector PV: which institution gets which installation, in which year, paid by whom."""
